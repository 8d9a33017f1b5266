"""Group commit over the wire: a turn's writes become one batch, and nobody is answered before it is written."""

import threading

import pytest
from support.besieged import DEADLINE_S, GateEngine, besieged, until
from support.pools import GRACE_S
from support.wire import ErrorReply, Wire, frame

import kvs.net.loop
from kvs.errors import StorageError


def is_answered(wire: Wire) -> bool:
    """Tell whether a reply has come, a moment given."""
    wire.socket.settimeout(GRACE_S)
    try:
        wire.line()
    except TimeoutError:
        return False
    finally:
        wire.socket.settimeout(DEADLINE_S)
    return True


def test_no_reply_comes_before_the_commit() -> None:
    """While the batch is being written nobody who wrote is answered; when it is written, all are."""
    engine = GateEngine()
    with besieged("loop", engine=engine, gathers=True) as server:
        wires = [server.connect() for _ in range(5)]
        wires[0].command("SET", "first", "v")
        assert engine.arrived.acquire(timeout=DEADLINE_S), "the batch is being written"
        for number, wire in enumerate(wires[1:]):
            wire.command("SET", f"k{number}", "v")
        assert not any(is_answered(wire) for wire in wires)
        assert len(engine) == 0
        engine.is_open.set()
        for wire in wires:
            assert wire.reply() == b"OK"
        assert len(engine) == 5


def test_reads_of_a_turn_wait_with_its_writes() -> None:
    """Who reads what is not written yet hears of it when it is: a value that was told is a value that is kept."""
    engine = GateEngine()
    with besieged("loop", engine=engine, gathers=True) as server, server.connect() as wire:
        wire.send(frame("SET", "k", "v") + frame("GET", "k"))
        assert engine.arrived.acquire(timeout=DEADLINE_S)
        assert not is_answered(wire)
        engine.is_open.set()
        assert wire.reply() == b"OK"
        assert wire.reply() == b"v"


def test_a_commit_that_fails_is_everybody_s_error() -> None:
    """When the batch cannot be written, everyone of its turn gets the error, and nothing of it can be read after."""
    engine = GateEngine()
    engine.error = StorageError("the disk is full")
    with besieged("loop", engine=engine, gathers=True) as server, server.connect() as holder:
        wires = [server.connect() for _ in range(3)]
        for wire in wires:
            assert wire.call("PING") == b"PONG"
        holder.command("SET", "held", "x")
        assert engine.arrived.acquire(timeout=DEADLINE_S), "the loop is at its commit; what comes now is one turn"
        wires[0].send(frame("SET", "a", "1") + frame("INCR", "n") + frame("GET", "a"))
        wires[1].send(frame("MSET", "b", "1", "c", "2"))
        wires[2].send(frame("SET", "d", "1") + frame("MULTI") + frame("SET", "e", "1") + frame("EXEC"))
        engine.is_open.set()
        failed = ErrorReply("ERR the disk is full")
        assert holder.reply() == failed
        assert [wires[0].reply() for _ in range(3)] == [failed] * 3
        assert wires[1].reply() == failed
        assert wires[2].reply() == failed
        answers = [wires[2].reply() for _ in range(3)]
        assert answers[-1] == failed
        engine.error = None
        for wire in wires:
            assert wire.call("EXISTS", "held", "a", "n", "b", "c", "d", "e") == 0
        assert wires[0].call("INCR", "n") == 1, "what failed counts for nothing"
        assert len(engine) == 1


def test_clients_of_one_turn_share_one_batch() -> None:
    """Fifty clients that write while the loop is busy make one batch, not fifty."""
    engine = GateEngine()
    with besieged("loop", engine=engine, gathers=True) as server, server.connect() as holder:
        wires = [server.connect() for _ in range(50)]
        for wire in wires:
            assert wire.call("PING") == b"PONG"
        holder.command("SET", "held", "x")
        assert engine.arrived.acquire(timeout=DEADLINE_S)
        for number, wire in enumerate(wires):
            wire.command("SET", f"k{number}", "v")
        engine.is_open.set()
        for wire in [holder, *wires]:
            assert wire.reply() == b"OK"
        batches = 0
        while engine.arrived.acquire(blocking=False):
            batches += 1
        assert batches <= 2
        assert len(engine) == 51


def test_a_turn_of_many_bytes_is_ended_early(monkeypatch: pytest.MonkeyPatch) -> None:
    """A turn whose changes are large is written in several batches, so that they do not pile up in memory."""
    monkeypatch.setattr(kvs.net.loop, "GATHERED_BYTES", 1_000)
    engine = GateEngine()
    with besieged("loop", engine=engine, gathers=True) as server, server.connect() as holder:
        wires = [server.connect() for _ in range(20)]
        for wire in wires:
            assert wire.call("PING") == b"PONG"
        holder.command("SET", "held", "x")
        assert engine.arrived.acquire(timeout=DEADLINE_S)
        for number, wire in enumerate(wires):
            wire.command("SET", f"k{number}", bytes(600))
        engine.is_open.set()
        for wire in [holder, *wires]:
            assert wire.reply() == b"OK"
        batches = 0
        while engine.arrived.acquire(blocking=False):
            batches += 1
        assert 8 <= batches <= 12, "two to a batch"


def test_a_client_that_is_gone_keeps_nobody_from_the_commit() -> None:
    """A client that resets in the very turn in which it wrote harms nobody else's answer."""
    engine = GateEngine()
    with besieged("loop", engine=engine, gathers=True) as server, server.connect() as holder:
        gone, here = server.connect(), server.connect()
        for wire in (gone, here):
            assert wire.call("PING") == b"PONG"
        holder.command("SET", "held", "x")
        assert engine.arrived.acquire(timeout=DEADLINE_S)
        gone.command("SET", "gone", "x")
        here.command("SET", "here", "x")
        gone.close()
        engine.is_open.set()
        assert here.reply() == b"OK"
        assert engine[b"here"] == b"x"
        until(lambda: server.connections() == 2, "it is forgotten")


def test_pipelines_beyond_the_limit_commit_as_they_go() -> None:
    """A pipeline whose replies exceed what is kept goes on when they are taken, committed part by part."""
    engine = GateEngine()
    engine.is_open.set()
    with besieged("loop", engine=engine, gathers=True) as server, server.connect() as wire:
        sender = threading.Thread(
            target=wire.send,
            args=(b"".join(frame("SET", "k", bytes(30_000)) + frame("GET", "k") for _ in range(500)),),
        )
        sender.start()
        for _ in range(500):
            assert wire.reply() == b"OK"
            assert wire.reply() == bytes(30_000)
        sender.join(DEADLINE_S)
