"""What clients announce, and what they do not take: a server's memory grows with what it received, and no further."""

import contextlib
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from support.besieged import besieged, every_design, until
from support.limited import Child
from support.wire import ErrorReply, frame

from kvs.memory import MemoryEngine
from kvs.net.connection import Connection
from kvs.net.options import ServerOptions

MIB: Final = 1 << 20
CLIENTS: Final = 50


@contextlib.contextmanager
def traced() -> Iterator[None]:
    """Count what is allocated in the block."""
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


@every_design
def test_announced_sizes_take_no_memory(design: str) -> None:
    """50 clients announce 512 MiB each and send 40 kB of it, in small pieces: 2 MB come, and hardly more is taken."""
    piece, pieces = bytes(400), 100
    with besieged(design) as server:
        wires = [server.connect() for _ in range(CLIENTS)]
        for wire in wires:
            assert wire.call("PING") == b"PONG"
        with traced():
            for wire in wires:
                wire.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n")
            for _ in range(pieces):
                for wire in wires:
                    wire.send(piece)
            received = CLIENTS * pieces * len(piece)
            clients = server.server.service.clients
            until(lambda: sum(int(str(each.describe()["qbuf"])) for each in clients.values()) >= received, "all came")
            taken, peak = tracemalloc.get_traced_memory()
            server.lives()
        assert taken < 2 * received + CLIENTS * 16 * 1024
        assert peak < taken + 5 * MIB, "a large piece at a time may be received, in each thread"


@every_design
def test_of_who_does_not_read_little_is_kept(design: str) -> None:
    """Of a client that asks for 1 GB and reads nothing, 8 MiB of replies are kept, and its commands stay unread."""
    engine = MemoryEngine()
    engine.set(b"k", bytes(100_000))
    options = ServerOptions(send_timeout_s=600, max_reply_bytes=8 * MIB)
    ask = frame("GET", "k") * 100
    with besieged(design, options, engine) as server, server.connect(receive_buffer_bytes=4096) as wire:
        wire.socket.settimeout(0.5)
        asked = 0
        with contextlib.suppress(TimeoutError):
            while True:
                asked += wire.socket.send(ask)  # until the server reads no more, and the system keeps no more
                assert asked < 30 * MIB, "it reads for ever"
        (client,) = server.server.service.clients.values()
        assert isinstance(client, Connection)
        assert len(client.waiting) < 2_000, "no more is read than what came in one piece"
        until(lambda: int(str(client.describe()["omem"])) < 9 * MIB, "no more than the limit and a reply is kept")
        server.lives()
        assert asked > 10_000, "or the test shows nothing"


@every_design
def test_who_reads_late_gets_all(design: str) -> None:
    """A client that first asks for 60 MB and then begins to read gets every reply, in order."""
    engine = MemoryEngine()
    engine.set(b"k", bytes(20_000))
    with besieged(design, ServerOptions(max_reply_bytes=100_000), engine) as server, server.connect() as wire:
        wire.send(b"".join(frame("GET", "k") + frame("ECHO", number) for number in range(3_000)))
        for number in range(3_000):
            assert wire.reply() == bytes(20_000)
            assert wire.reply() == b"%d" % number
        assert server.engine[b"k"] == bytes(20_000)


@every_design
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process cannot be held to so much memory")
def test_who_asks_for_too_much_memory_is_dropped(design: str, tmp_path: Path) -> None:
    """Where memory runs out, the client that needs it is dropped or gets an error; the server and the others go on."""
    child = Child(tmp_path / "store", design, "RLIMIT_AS", 160 * MIB)
    try:
        with child.connect() as other, child.connect() as wire:
            assert other.call("SET", "k", "v") == b"OK"
            with contextlib.suppress(ConnectionError):
                wire.send(b"*3\r\n$3\r\nSET\r\n$1\r\nb\r\n$%d\r\n" % (500 * MIB))
                for _ in range(500):
                    wire.send(bytes(MIB))
                wire.send(b"\r\n")
            wire.rest()
            child.until(lambda _, clients: clients == 1)
            assert other.call("GET", "k") == b"v"
            assert isinstance(other.call("SETRANGE", "k", 300 * MIB, "x"), ErrorReply)
            assert other.call("GET", "k") == b"v"
            assert other.call("EXISTS", "b") == 0
    finally:
        assert child.end() == 0
