"""Clients that keep a server waiting: each is given its time, and nobody waits for another."""

import contextlib
import socket
import time
from typing import Final

from support.besieged import (
    GateEngine,
    besieged,
    every_design,
    is_closed,
    polling_design,
    until,
)
from support.wire import frame

from kvs.memory import MemoryEngine
from kvs.net.options import ServerOptions

SOON_S: Final = 0.3
NEVER_S: Final = 600.0
HALVES: Final = [
    b"*",
    b"*2\r",
    b"*2\r\n$3\r\nGET\r\n",
    b"*2\r\n$3\r\nGET\r\n$100\r\nabc",
    b"*1\r\n$4\r\nPING\r",
    b"SET k",
    b'SET k "',
]


def limits(**given: float) -> ServerOptions:
    """Return options whose time-outs never come, but for those given."""
    return ServerOptions(**({"frame_timeout_s": NEVER_S, "send_timeout_s": NEVER_S} | given))  # type: ignore[arg-type]


@polling_design
def test_a_thousand_half_frames_are_closed_at_the_deadline(design: str) -> None:
    """1,000 clients that begin a command and stop are closed when its time is over; another is answered all along."""
    with besieged(design, limits(frame_timeout_s=1.0)) as server, server.connect() as other:
        halves = [server.connect() for _ in range(1_000)]
        for number, half in enumerate(halves):
            half.send(HALVES[number % len(HALVES)])
            if number % 100 == 0:
                assert other.call("PING") == b"PONG"

        def are_gone() -> bool:
            assert other.call("PING") == b"PONG"
            return server.connections() == 1

        until(are_gone, "the halves are closed, and only they")
        assert server.counts.overdue == 1_000
        assert all(is_closed(half) for half in halves)
        assert other.call("PING") == b"PONG", "between commands there is no such deadline"


@every_design
def test_each_kind_of_half_is_closed(design: str) -> None:
    """Wherever within a command it stops, a client is closed; one that stops between commands is not."""
    with besieged(design, limits(frame_timeout_s=SOON_S)) as server, server.connect() as idle:
        assert idle.call("PING") == b"PONG"
        halves = [server.connect() for _ in HALVES]
        for half, raw in zip(halves, HALVES, strict=True):
            half.send(frame("PING") + raw)
        for half in halves:
            assert half.rest() == b"+PONG\r\n"
        until(lambda: server.counts.overdue == len(HALVES), "they are counted")
        assert idle.call("PING") == b"PONG"


@every_design
def test_a_byte_now_and_then_is_not_enough(design: str) -> None:
    """A client that sends a byte of its command whenever it is nearly too late is closed all the same."""
    with besieged(design, limits(frame_timeout_s=SOON_S)) as server, server.connect() as wire:
        wire.send(b"*2\r\n$3\r\nGET\r\n$1000\r\n")
        began = time.monotonic()
        while not is_closed(wire):
            assert time.monotonic() < began + 20 * SOON_S, "each byte begins the time anew"
            try:
                wire.send(b"x")
            except OSError:
                break
            time.sleep(SOON_S / 10)
        until(lambda: server.counts.overdue == 1, "it is counted")


@every_design
def test_a_large_value_on_a_slow_line_arrives(design: str) -> None:
    """A value that takes several times the deadline is taken, as long as 64 KiB of it come within each."""
    value = bytes(100_000)
    with besieged(design, limits(frame_timeout_s=SOON_S)) as server, server.connect() as wire:
        wire.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n" % (len(value) * 6))
        for _ in range(6):
            wire.send(value)
            time.sleep(SOON_S / 2)
        wire.send(b"\r\n")
        assert wire.reply() == b"OK"
        assert len(server.engine[b"k"]) == len(value) * 6


@every_design
def test_a_steady_stream_is_always_in_the_middle_of_a_command(design: str) -> None:
    """A client whose every piece ends in mid-command, as in a long upload, is not closed: each comes in time."""
    one = frame("SET", "k", bytes(50))
    with besieged(design, limits(frame_timeout_s=SOON_S)) as server, server.connect() as wire:
        wire.send(one[:20])
        for _ in range(12):
            time.sleep(SOON_S / 4)
            wire.send(one[20:] + one[:20])
            assert wire.reply() == b"OK"
        wire.send(one[20:])
        assert wire.reply() == b"OK"


@every_design
def test_while_a_server_does_not_read_no_command_is_late(design: str) -> None:
    """Behind a command that takes long, half of the next may wait: it is the server that keeps it waiting."""
    engine = GateEngine()
    with besieged(design, limits(frame_timeout_s=SOON_S), engine) as server, server.connect() as wire:
        wire.send(frame("SAVE") + b"*1\r\n$4\r\nPI")
        assert engine.arrived.acquire(timeout=10)
        time.sleep(2 * SOON_S)
        engine.is_open.set()
        assert wire.reply() == b"OK"
        wire.send(b"NG\r\n")
        assert wire.reply() == b"PONG"
        assert server.counts.overdue == 0


@every_design
def test_idle_clients_are_closed_where_that_is_wanted(design: str) -> None:
    """With an idle time-out a client that is silent is closed; one that talks now and then is not."""
    options = limits(idle_timeout_s=SOON_S)
    with besieged(design, options) as server, server.connect() as silent, server.connect() as talker:
        began = time.monotonic()
        while not is_closed(silent):
            assert talker.call("PING") == b"PONG"
            time.sleep(SOON_S / 20)
        assert SOON_S / 2 < time.monotonic() - began < 20 * SOON_S
        for _ in range(10):
            time.sleep(SOON_S / 3)
            assert talker.call("PING") == b"PONG"


@every_design
def test_a_client_that_does_not_read_is_closed(design: str) -> None:
    """A client that asks and never takes the answers is closed when it has taken nothing for the time it is given."""
    engine = MemoryEngine()
    engine.set(b"k", bytes(1 << 20))
    options = limits(send_timeout_s=SOON_S)
    with besieged(design, options, engine) as server, server.connect(receive_buffer_bytes=4096) as wire:
        wire.send(frame("GET", "k") * 40)
        until(lambda: server.counts.overdue == 1, "it is closed")
        until(lambda: server.connections() == 0, "it is forgotten")
        server.lives()


@every_design
def test_a_slow_reader_is_not_closed(design: str) -> None:
    """A client that takes a large reply slowly, for longer than the send time-out, gets all of it."""
    size = 6 << 20
    engine = MemoryEngine()
    engine.set(b"k", bytes(size))
    options = limits(send_timeout_s=SOON_S)
    with besieged(design, options, engine) as server, server.connect(receive_buffer_bytes=1 << 16) as wire:
        wire.send(frame("GET", "k"))
        left = len(b"$%d\r\n\r\n" % size) + size
        began = time.monotonic()
        while left:
            chunk = wire.socket.recv(min(left, 64 * 1024))
            assert chunk, f"the server closed the connection, with {left:,} bytes to come"
            left -= len(chunk)
            if time.monotonic() < began + 4 * SOON_S:
                time.sleep(SOON_S / 10)
        assert time.monotonic() - began > 3 * SOON_S, "or the test shows nothing"
        assert server.counts.overdue == 0
        assert wire.call("PING") == b"PONG"


@polling_design
def test_a_reply_that_went_out_has_no_deadline(design: str) -> None:
    """Replies that waited and then went out together with a later one leave no clock running: the client stays."""
    engine = GateEngine()
    engine.set(b"k", bytes(50_000))
    options = limits(send_timeout_s=5 * SOON_S)
    with besieged(design, options, engine) as server, server.connect(receive_buffer_bytes=1 << 16) as wire:
        assert wire.call("PING") == b"PONG"
        (client,) = server.server.service.clients.values()
        left = 0
        while int(str(client.describe()["omem"])) < 100_000:  # until the system takes no more, and a little waits here
            wire.command("GET", "k")
            left += len(b"$50000\r\n\r\n") + 50_000
            until(lambda done=left // 50_000 + 1: client.commands == done, "it is answered")  # type: ignore[misc]
            time.sleep(0.03)  # for the system to take what it can
        wire.command("GET", "gate")
        assert engine.arrived.acquire(timeout=10), "the server has read, and is busy"
        wire.socket.settimeout(SOON_S / 2)
        with contextlib.suppress(TimeoutError):
            while True:  # what the system has; so there is room for what waits, and nobody tells the server so
                left -= len(wire.socket.recv(1 << 20))
        assert left > 0, "or the test shows nothing"
        wire.socket.settimeout(20)
        engine.is_open.set()
        wire.exactly(left)
        assert wire.reply() is None
        time.sleep(6 * SOON_S)
        assert wire.call("PING") == b"PONG"
        assert server.counts.overdue == 0


@every_design
def test_who_reads_slowly_is_not_late_with_the_next_command(design: str) -> None:
    """Behind replies that the client has yet to take, half of its next command may wait: it is not read."""
    engine = MemoryEngine()
    engine.set(b"k", bytes(50_000))
    options = limits(frame_timeout_s=SOON_S, max_reply_bytes=100_000)  # type: ignore[arg-type]
    with besieged(design, options, engine) as server, server.connect(receive_buffer_bytes=4096) as wire:
        wire.send(frame("GET", "k") * 200 + b"*1\r\n$4\r\nPI")
        time.sleep(3 * SOON_S)
        wire.exactly(200 * (50_000 + len(b"$50000\r\n\r\n")))
        wire.send(b"NG\r\n")
        assert wire.reply() == b"PONG"
        assert server.counts.overdue == 0


@every_design
def test_half_a_connection_gets_its_replies(design: str) -> None:
    """A client that has said all it has to say, and says so, gets every reply before the connection is closed."""
    engine = MemoryEngine()
    engine.set(b"k", bytes(100_000))
    with besieged(design, limits(), engine) as server, server.connect() as wire:
        wire.send(frame("GET", "k") * 200 + b"*1\r\n$4\r\nPI")
        wire.socket.shutdown(socket.SHUT_WR)
        assert len(wire.rest()) == 200 * len(b"$100000\r\n" + bytes(100_000) + b"\r\n")
        until(lambda: server.connections() == 0, "it is forgotten")
