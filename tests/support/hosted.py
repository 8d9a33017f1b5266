"""A server under test in this very process, with its engine and its pool in the test's hands."""

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Final

import pytest

import kvs
from kvs.engine import Engine
from kvs.memory import MemoryEngine
from kvs.net.commands.table import COMMANDS
from kvs.net.connection import Connection
from kvs.net.service import Service
from kvs.pool.base import ThreadPool
from support.pools import Call
from support.talk import Clients, Talk

JOIN_S: Final = 5.0


class PlainPool(ThreadPool):
    """A thread for each job, and nothing else: the least that a server can be given, before there are better pools."""

    name = "plain"

    def __init__(self, threads: int = 1) -> None:
        self._size = threads
        self._threads: list[threading.Thread] = []

    def spawn(self, job: Callable[[], object]) -> None:
        """Run the job in a new thread."""
        thread = threading.Thread(target=job, name="plain-pool", daemon=True)
        self._threads.append(thread)
        thread.start()

    def shutdown(self, wait: bool = True) -> None:
        """Wait for all threads."""
        for thread in self._threads if wait else []:
            thread.join(JOIN_S)


class Hosted:
    """A KvsServer that serves from a thread of its own, from the moment this is made.

    Args:
        engine: its engine.
        pool: its pool; a PlainPool unless told otherwise.
        transcript: takes what clients say and hear.
    """

    def __init__(self, engine: Engine, pool: ThreadPool | None, transcript: list[str]) -> None:
        self.engine = engine
        self.pool = pool if pool is not None else PlainPool()
        self.server = kvs.KvsServer(engine, self.pool, "127.0.0.1:0")
        self.address = self.server.address
        self.connect = Clients(self.address, transcript)
        self.serving = Call(self.server.serve_forever)

    def stop(self) -> None:
        """Stop the server, and see that it stops."""
        __tracebackhide__ = True
        Call(self.server.shutdown).finish()
        self.serving.finish()

    def wait_until(self, fact: Callable[[], object], complaint: str) -> None:
        """Return when something has become true that the server does on its own; ask two hundred times a second."""
        __tracebackhide__ = True
        end = time.monotonic() + JOIN_S
        while not fact():
            assert time.monotonic() < end, complaint
            time.sleep(0.005)

    def end(self) -> None:
        """Stop the server as well as it can be. Whether it can is for the tests of its shutdown."""
        self.connect.hang_up()
        with contextlib.suppress(Exception, pytest.fail.Exception):
            self.stop()


class Direct:
    """Stands where a socket would: bytes go straight into a Connection, and its replies come straight back.

    Args:
        engine: what the connection's commands work on.
    """

    def __init__(self, engine: Engine) -> None:
        self._connection = Connection(Service(engine, COMMANDS), "test:0", "test", since=0.0)
        self._replies = bytearray()

    def sendall(self, data: bytes, /) -> None:
        """Let the connection receive the bytes, and take its replies as a server would."""
        connection = self._connection
        if connection.is_closing:
            return
        connection.receive(data)
        while connection.out:
            self._replies += b"".join(connection.out)
            connection.out.clear()
            connection.out_bytes = 0
            connection.proceed()

    def recv(self, size: int, /) -> bytes:
        """Return replies.

        Raises:
            TimeoutError: there are none, and there will be none unless something is sent.
        """
        if not self._replies and not self._connection.is_closing:
            raise TimeoutError("and nothing will, before something is sent")
        data = bytes(self._replies[:size])
        del self._replies[:size]
        return data

    def close(self) -> None:
        """Let the connection know that its client is gone."""
        self._connection.close()


def converse(engine: Engine, transcript: list[str]) -> Talk:
    """Return a conversation with a Connection, no socket and no server between."""
    return Talk(Direct(engine), transcript)


class FaultyEngine(MemoryEngine):
    """Raises when the key that it is asked for is b"bad".

    Args:
        error: what it raises.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def get(self, key: bytes, default: object = None) -> object:  # type: ignore[override]  # of a test, and plain
        """Return a value, or raise."""
        if key == b"bad":
            raise self._error
        return super().get(key, default)

    def set(self, key: bytes, value: bytes) -> None:
        """Store a value, or raise."""
        if key == b"bad":
            raise self._error
        super().set(key, value)
