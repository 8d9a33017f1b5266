"""A worker has a channel while the loop wants something of it: each such meeting, forced by a gate."""

import time

import pytest
from support.besieged import DEADLINE_S, GateEngine, besieged, every_design, is_closed, reset, until
from support.pools import Call
from support.wire import frame

from kvs.memory import MemoryEngine
from kvs.net.options import ServerOptions

SOON_S = 0.2


@every_design
def test_a_stop_lets_what_has_begun_end(design: str) -> None:
    """A server that is stopped while commands run answers them before it closes; those who are idle are closed."""
    engine = GateEngine()
    with besieged(design, engine=engine) as server:
        busy = [server.connect() for _ in range(3)]
        idle = [server.connect() for _ in range(20)]
        for wire in idle:
            assert wire.call("PING") == b"PONG"
        for wire in busy:
            wire.command("SAVE")
            assert engine.arrived.acquire(timeout=DEADLINE_S)
        stop = Call(server.server.shutdown)
        for wire in idle:
            assert wire.rest() == b""
        assert stop.is_waiting()
        engine.is_open.set()
        for wire in busy:
            assert wire.rest() == b"+OK\r\n"
        stop.finish()


@every_design
def test_a_stop_answers_what_has_arrived(design: str) -> None:
    """Commands that had arrived when the server was stopped are carried out and answered."""
    engine = MemoryEngine()
    with besieged(design, engine=engine) as server:
        wires = [server.connect() for _ in range(50)]
        for wire in wires:
            assert wire.call("PING") == b"PONG"
        for number, wire in enumerate(wires):
            wire.send(frame("SET", f"k{number}", "v") * 3)
        began = time.monotonic()
        Call(server.server.shutdown).finish()
        assert time.monotonic() - began < 5, "nobody is forgotten until the drain time-out"
        answered = sum(wire.rest() == b"+OK\r\n" * 3 for wire in wires)
        assert answered == len(engine) == 50


def test_a_stop_reads_to_the_end_of_what_has_arrived() -> None:
    """A pipeline that had arrived before the stop, larger than what is received at once, is carried out to its end."""
    engine = GateEngine()
    with besieged("loop", engine=engine) as server, server.connect() as holder, server.connect() as wire:
        assert wire.call("PING") == b"PONG"
        holder.command("GET", "gate")
        assert engine.arrived.acquire(timeout=DEADLINE_S), "the loop is busy; what comes now waits for it"
        wire.send(b"".join(frame("SET", f"k{number}", bytes(1_000)) for number in range(90)))
        stop = Call(server.server.shutdown)
        assert stop.is_waiting()
        engine.is_open.set()
        assert wire.rest() == b"+OK\r\n" * 90
        stop.finish()
        assert len(engine) == 90


@every_design
def test_a_stop_in_the_middle_of_traffic_is_quick(design: str) -> None:
    """A server that is stopped under load ends at once, round after round, and every reply that comes is whole."""
    for _ in range(12):
        with besieged(design) as server:
            wires = [server.connect() for _ in range(12)]
            clients = [Call(lambda wire=wire: _ping_until_closed(wire)) for wire in wires]  # type: ignore[misc]
            until(lambda: server.server.service.command_count > 100, "they are at it")
            began = time.monotonic()
            Call(server.server.shutdown).finish()
            assert time.monotonic() - began < 4
            for client in clients:
                client.finish()


def _ping_until_closed(wire: object) -> None:
    """Send commands until the server hangs up; whatever came must be whole."""
    try:
        while wire.call("PING") == b"PONG":  # type: ignore[attr-defined]
            pass
    except (EOFError, OSError):
        assert bytes(wire._received) == b"", "half a reply"  # type: ignore[attr-defined]


@every_design
def test_the_drain_has_an_end(design: str) -> None:
    """A client that takes none of its replies delays a stop for the drain time-out and no longer."""
    engine = MemoryEngine()
    engine.set(b"k", bytes(4 << 20))
    options = ServerOptions(drain_timeout_s=SOON_S, send_timeout_s=600)
    with besieged(design, options, engine) as server, server.connect(receive_buffer_bytes=4096) as wire:
        wire.send(frame("GET", "k") * 3)
        until(lambda: server.server.service.counts.received_bytes >= 60, "the server has heard it")
        began = time.monotonic()
        Call(server.server.shutdown).finish()
        assert time.monotonic() - began < 3


def test_a_frame_that_is_whole_is_not_late() -> None:
    """A worker may take longer over a command than a frame may take to arrive: the client is not closed for that."""
    engine = GateEngine()
    with besieged("ready", ServerOptions(frame_timeout_s=SOON_S), engine) as server, server.connect() as wire:
        wire.send(b"*1\r\n$4\r\nSA")
        until(lambda: any(each.describe()["qbuf"] for each in server.server.service.clients.values()), "half is here")
        wire.send(b"VE\r\n")
        assert engine.arrived.acquire(timeout=DEADLINE_S)
        time.sleep(3 * SOON_S)
        assert not is_closed(wire)
        engine.is_open.set()
        assert wire.reply() == b"OK"
        assert server.counts.overdue == 0


@pytest.mark.parametrize("how", ["kill", "reset", "close"])
def test_a_channel_that_a_worker_has_is_closed_by_nobody_else(how: str) -> None:
    """While a worker has a channel, a kill, a reset or an end does not close it: its number may be another's next."""
    engine = GateEngine()
    with besieged("ready", engine=engine) as server, server.connect() as other:
        wire = server.connect()
        number = wire.call("CLIENT", "ID")
        wire.command("SAVE")
        assert engine.arrived.acquire(timeout=DEADLINE_S)
        match how:
            case "kill":
                assert other.call("CLIENT", "KILL", "ID", str(number)) == 1
            case "reset":
                reset(wire)
            case _:
                wire.close()
        later = [server.connect() for _ in range(10)]
        for each in later:
            assert each.call("PING") == b"PONG"
        assert server.connections() == 12
        engine.is_open.set()
        until(lambda: server.connections() == 11, "it is closed when the worker is done")
        for each in later:
            assert each.call("PING") == b"PONG"


def test_kills_and_commands_at_the_same_time() -> None:
    """Clients that are killed again and again while they talk never get half a reply, and are all closed."""
    with besieged("ready") as server, server.connect() as killer:
        for _ in range(60):
            wires = [server.connect() for _ in range(4)]
            numbers = [wire.call("CLIENT", "ID") for wire in wires]
            clients = [Call(lambda wire=wire: _ping_until_closed(wire)) for wire in wires]  # type: ignore[misc]
            for number in numbers:
                killer.command("CLIENT", "KILL", "ID", str(number))
            assert [killer.reply() for _ in numbers] == [1] * 4
            for client in clients:
                client.finish()
        until(lambda: server.connections() == 1, "all are forgotten")
