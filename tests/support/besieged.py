"""A server under abuse, in this very process: any design, any limits, and the means to be nasty to it."""

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import pytest

from kvs.engine import Engine
from kvs.memory import MemoryEngine
from kvs.net.options import DEFAULTS, ServerOptions
from kvs.net.server import DesignName, KvsServer
from kvs.pool.base import ThreadPool
from kvs.pool.naive import NaiveThreadPool
from kvs.pool.shared_queue import SharedQueueThreadPool
from support.pools import Call
from support.wire import Wire

DEADLINE_S: Final = 20.0
WORKERS: Final = 4
DESIGNS: Final = ("loop", "ready", "jobs")
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)

every_design = pytest.mark.parametrize("design", DESIGNS)
polling_design = pytest.mark.parametrize("design", ["loop", "ready"])
"""Those in which a client that is idle holds no thread."""


class Besieged:
    """A KvsServer that serves from a thread of its own.

    Args:
        design: how it serves. With "jobs" it gets a thread for each connection, else four in all.
        options: its limits.
        engine: its store.
        gathers: as KvsServer.
        pool: its pool, if not such a one.
    """

    def __init__(
        self,
        design: DesignName,
        options: ServerOptions,
        engine: Engine,
        *,
        gathers: bool = False,
        pool: ThreadPool | None = None,
    ) -> None:
        self.pool = pool or (NaiveThreadPool(1) if design == "jobs" else SharedQueueThreadPool(WORKERS))
        self.server = KvsServer(engine, self.pool, "127.0.0.1:0", design=design, options=options, gathers=gathers)
        self.engine = engine
        self.counts = self.server.service.counts
        self.place = ("127.0.0.1", int(self.server.address.rpartition(":")[2]))
        self._wires: list[Wire] = []
        self._serving = Call(self.server.serve_forever)

    def connect(self, *, receive_buffer_bytes: int | None = None) -> Wire:
        """Return another client's conversation.

        Args:
            receive_buffer_bytes: how much the client's side of the connection holds of what it does not read.
        """
        talk = socket.socket()
        talk.settimeout(DEADLINE_S)
        if receive_buffer_bytes is not None:
            talk.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
        talk.connect(self.place)
        talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # what is sent in pieces arrives in pieces
        wire = Wire(talk)
        self._wires.append(wire)
        return wire

    def connections(self) -> int:
        """How many connections the server has."""
        return len(self.server.service.clients)

    def lives(self) -> None:
        """See that another client is answered."""
        __tracebackhide__ = True
        with self.connect() as wire:
            assert wire.call("PING") == b"PONG"

    def end(self) -> None:
        """Stop the server, and see that it stops and lets go of everything."""
        __tracebackhide__ = True
        if isinstance(self.engine, GateEngine):
            self.engine.is_open.set()
        for wire in self._wires:
            wire.close()
        Call(self.server.shutdown).finish()
        self._serving.finish()
        Call(self.pool.shutdown).finish()
        assert self.connections() == 0


@contextlib.contextmanager
def besieged(
    design: str = "loop",
    options: ServerOptions = DEFAULTS,
    engine: Engine | None = None,
    *,
    gathers: bool = False,
    pool: ThreadPool | None = None,
) -> Iterator[Besieged]:
    """Run a server for the time of the block."""
    __tracebackhide__ = True
    store = engine if engine is not None else MemoryEngine()
    server = Besieged(design, options, store, gathers=gathers, pool=pool)  # type: ignore[arg-type]  # designs are text
    try:
        yield server
    finally:
        server.end()


def until(fact: Callable[[], object], what: str, deadline_s: float = DEADLINE_S) -> None:
    """Wait until something is true; ask two hundred times a second."""
    __tracebackhide__ = True
    end = time.monotonic() + deadline_s
    while not fact():
        assert time.monotonic() < end, f"not within {deadline_s:.0f} s: {what}"
        time.sleep(0.005)


def reset(wire: Wire) -> None:
    """Hang up the hard way, as a client does whose machine was switched off."""
    wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    wire.close()


def is_closed(wire: Wire) -> bool:
    """Tell whether the server has closed the connection, without waiting; what it said is thrown away."""
    wire.socket.setblocking(False)
    try:
        while wire.socket.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except OSError:
        return True
    finally:
        with contextlib.suppress(OSError):
            wire.socket.settimeout(DEADLINE_S)
    return True


def descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd" if os.path.isdir("/proc/self/fd") else "/dev/fd"))


class GateEngine(MemoryEngine):
    """An engine whose `get` of b"gate", and whose every `write` and `sync`, waits until the gate is opened.

    Attributes:
        arrived: released by each that came to the gate.
        is_open: the gate.
        error: what `write` raises behind it, or None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.arrived = threading.Semaphore(0)
        self.is_open = threading.Event()
        self.error: Exception | None = None

    def wait(self) -> None:
        """Wait at the gate."""
        self.arrived.release()
        assert self.is_open.wait(DEADLINE_S), "nobody opened the gate"

    def get(self, key: bytes, default: object = None) -> object:  # type: ignore[override]  # of a test, and plain
        """Return a value; of b"gate" when the gate is open."""
        if key == b"gate":
            self.wait()
        return super().get(key, default)

    def sync(self) -> None:
        """Return when the gate is open."""
        self.wait()

    def write(self, ops: object) -> None:
        """Write a batch when the gate is open."""
        self.wait()
        if self.error is not None:
            raise self.error
        super().write(ops)  # type: ignore[arg-type]
