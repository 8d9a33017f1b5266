"""Channels, pollers and wake-ups: the parts of a server that touch the system, one by one."""

import os
import random
import select
import signal
import socket
import threading
import time

import pytest
from support.besieged import DEADLINE_S, besieged, every_design
from support.wire import frame

from kvs.memory import MemoryEngine
from kvs.net.channel import JOIN_BYTES, Channel
from kvs.net.commands.table import COMMANDS
from kvs.net.connection import Connection
from kvs.net.poller import READ, WRITE, Poller
from kvs.net.service import Service
from kvs.net.wakeup import Wakeup


@pytest.mark.parametrize("size", [1, 1_000, JOIN_BYTES // 2, JOIN_BYTES * 2])
def test_replies_go_out_whole_and_in_order(size: int, rng: random.Random) -> None:
    """However little the client takes at a time, the bytes are the replies, in their order, and none twice."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        theirs.settimeout(DEADLINE_S)
        channel = Channel(ours, Connection(Service(MemoryEngine(), COMMANDS), "test", "test", since=0))
        connection = channel.connection
        wanted, got = bytearray(), bytearray()
        for _ in range(12):
            replies = [rng.randbytes(rng.randrange(size) + 1) for _ in range(3)]
            connection.out += replies
            connection.out_bytes += sum(map(len, replies))
            wanted += b"".join(replies)
            is_sent = channel.send()
            assert is_sent == (connection.out_bytes == 0) == (not connection.out)
            assert connection.out_bytes == sum(map(len, connection.out))
            got += theirs.recv(rng.randrange(size * 2) + 1) if len(got) < len(wanted) else b""
        while len(got) < len(wanted):
            channel.send()
            got += theirs.recv(1 << 16)
        assert got == wanted
        assert connection.service.counts.sent_bytes == len(wanted)


def test_a_large_value_is_received_in_large_pieces() -> None:
    """While a large word is missing, more than the usual 16 KiB is asked for, so that it takes few calls."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        channel = Channel(ours, Connection(Service(MemoryEngine(), COMMANDS), "test", "test", since=0))
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        theirs.send(b"*2\r\n$4\r\nECHO\r\n$1000000\r\n")
        channel.receive()
        sent = theirs.send(bytes(100_000))
        channel.receive()
        assert channel.connection.decoder.pending_bytes > sent
        channel.receive()  # nothing there: no error, and no end
        assert not channel.has_ended
        theirs.close()
        channel.receive()
        assert channel.has_ended


@pytest.mark.parametrize("may_epoll", [True, False], ids=["epoll", "poll"])
def test_pollers_agree(*, may_epoll: bool) -> None:
    """With epoll and with poll the same sockets are ready for the same things, and waiting ends in time."""
    poller = Poller(may_epoll=may_epoll)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        poller.register(ours.fileno(), READ)
        began = time.monotonic()
        assert poller.wait(0.05) == []
        assert 0.04 < time.monotonic() - began < 2, "the time is in seconds"
        theirs.send(b"x")
        assert poller.wait(None) == [(ours.fileno(), READ)]
        poller.modify(ours.fileno(), READ | WRITE)
        assert poller.wait(5) == [(ours.fileno(), READ | WRITE)]
        poller.modify(ours.fileno(), 0)
        assert poller.wait(0) == []
        theirs.close()
        ((fd, event),) = poller.wait(5)
        assert fd == ours.fileno()
        assert event & select.POLLHUP, "a hang-up is told unasked"
        poller.unregister(ours.fileno())
        assert poller.wait(0) == []
    poller.close()


@every_design
def test_a_system_without_epoll_is_served_too(design: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no epoll, as on macOS, every design serves by poll."""
    monkeypatch.delattr(select, "epoll", raising=False)
    with besieged(design) as server:
        wires = [server.connect() for _ in range(20)]
        for number, wire in enumerate(wires):
            wire.send(frame("SET", "k", number) + frame("GET", "k") + b"*1\r\n$4\r\nPI")
            assert [wire.reply(), wire.reply()] == [b"OK", b"%d" % number]
        for wire in wires:
            wire.send(b"NG\r\n")
            assert wire.reply() == b"PONG"
        wires[0].send(b"\xff")
        wires[0].rest()
        server.lives()


def test_a_wakeup_is_heard_once_and_never_blocks() -> None:
    """Ten thousand wake-ups do not block and are one; after draining another is heard; after closing none hurts."""
    wakeup = Wakeup()
    for _ in range(100_000):
        wakeup.wake()
    assert select.select([wakeup.fd], [], [], 5)[0]
    wakeup.drain()
    assert not select.select([wakeup.fd], [], [], 0)[0]
    wakeup.drain()
    wakeup.stop_soon()
    assert wakeup.stop_is_wanted
    assert select.select([wakeup.fd], [], [], 5)[0]
    wakeup.close()
    wakeup.wake()
    wakeup.compact_soon()
    wakeup.close()


def test_a_wakeup_works_in_a_signal_handler() -> None:
    """A handler may wake a thread that waits for sockets."""
    wakeup = Wakeup()
    before = signal.signal(signal.SIGUSR2, lambda *_: wakeup.stop_soon())
    try:
        timer = threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGUSR2))
        timer.start()
        assert select.select([wakeup.fd], [], [], DEADLINE_S)[0]
        timer.join()
    finally:
        signal.signal(signal.SIGUSR2, before)
        wakeup.close()
