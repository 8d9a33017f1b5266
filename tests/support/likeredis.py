"""Two servers side by side: the same words to a redis-server and to our own connections, and both replies to compare.

A reply is compared by its bytes. Where ours differs on purpose, a Difference says so and why, and how far the replies
are still alike.
"""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self, TypeAlias

from kvs.memory import MemoryEngine
from kvs.net.commands.table import COMMANDS
from kvs.net.connection import Connection
from kvs.net.options import DEFAULTS, ServerOptions
from kvs.net.service import Service
from support.wire import frame

Words: TypeAlias = Sequence[bytes]
Node: TypeAlias = "tuple[bytes, list[Node] | bytes]"
"""A reply taken apart: its first line, and what follows that; equal nodes are of equal bytes."""

STARTING_S: Final = 10.0
BULK: Final = b"$=!"
AGGREGATES: Final = b"*~%>"


class RedisServer:
    """A redis-server of our own, on a Unix socket in a directory of its own, that keeps nothing."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="kvs-redis-")))
        self.path = str(folder / "socket")
        words = ["redis-server", "--port", "0", "--unixsocket", self.path, "--save", "", "--databases", "1"]
        self._child = subprocess.Popen([*words, "--dir", str(folder)], stdout=subprocess.DEVNULL)
        self._stack.callback(self._child.wait, timeout=STARTING_S)
        self._stack.callback(self._child.terminate)
        deadline = time.monotonic() + STARTING_S
        while True:  # its socket is bound before anybody can be told so
            try:
                self.connect().close()
            except OSError:
                assert self._child.poll() is None, "redis-server ended at once"
                assert time.monotonic() < deadline, "redis-server does not listen"
            else:
                break

    def connect(self) -> "Redis":
        """Begin a conversation."""
        return Redis(self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()


def is_installed() -> bool:
    """Tell whether there is a redis-server of the series that we compare with."""
    path = shutil.which("redis-server")
    return path is not None and b" v=7.0." in subprocess.check_output([path, "--version"])


class Redis:
    """One conversation with a redis-server."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(STARTING_S)
        try:
            self._socket.connect(path)
        except OSError:
            self._socket.close()
            raise
        self._received = b""

    def ask(self, words: Words) -> Node:
        """Send a command and return the reply."""
        self._socket.sendall(frame(*words))
        while True:
            try:
                node, end = take_apart(self._received, 0)
            except IndexError:
                data = self._socket.recv(1 << 16)
                assert data, f"redis-server hung up on {words!r}"
                self._received += data
            else:
                self._received = self._received[end:]
                return node

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


class Ours:
    """Connections of a service of our own, without sockets."""

    def __init__(self, options: ServerOptions = DEFAULTS) -> None:
        self.service = Service(MemoryEngine(), COMMANDS, options)

    def connect(self) -> "Our":
        """Begin a conversation."""
        return Our(self.service)


class Our:
    """One conversation with our own commands."""

    def __init__(self, service: Service) -> None:
        self.connection = Connection(service, "test:1", "test", since=time.time())
        service.add(self.connection)

    def ask(self, words: Words) -> Node:
        """Send a command and return the reply."""
        self.connection.receive(frame(*words))
        raw = b"".join(self.connection.out)
        self.connection.out.clear()
        self.connection.out_bytes = 0
        node, end = take_apart(raw, 0)
        assert end == len(raw), f"more than one reply to {words!r}: {raw!r}"
        return node

    def close(self) -> None:
        """Hang up."""
        self.connection.close()


def take_apart(raw: bytes, at: int) -> tuple[Node, int]:
    """Return the reply that begins here, and where it ends; IndexError while it is not all there."""
    end = raw.find(b"\r\n", at)
    if end < 0:
        raise IndexError
    line, after = raw[at:end], end + 2
    kind, size = line[:1], line[1:]
    if kind in BULK and size != b"-1":
        end = after + int(size)
        if len(raw) < end + 2:
            raise IndexError
        assert raw[end : end + 2] == b"\r\n"
        return (line, raw[after:end]), end + 2
    if kind in AGGREGATES and size != b"-1":
        parts = []
        for _ in range(int(size) * (2 if kind == b"%" else 1)):
            part, after = take_apart(raw, after)
            parts.append(part)
        return (line, parts), after
    return (line, b""), after


class Difference(NamedTuple):
    """Where our replies differ from Redis's on purpose.

    Args:
        reason: why.
        is_meant: tells from the words of a command, in lower case, whether it is one of these.
        alike: makes of a reply what still has to be equal.
    """

    reason: str
    is_meant: Callable[[Words], bool]
    alike: Callable[[Node], object]


class Talk:
    """One conversation, of which only that is heard that has to be alike.

    Args:
        side: the one who answers.
        differences: what may differ.
    """

    def __init__(self, side: Redis | Our, differences: Sequence[Difference]) -> None:
        self._side = side
        self._differences = differences
        self._queue: list[Words] = []

    def ask(self, words: Words) -> object:
        """Send a command; return of the reply what has to be alike."""
        node = self._side.ask(words)
        if node[0] == b"+QUEUED":
            self._queue.append(words)
        elif words[0].lower() in {b"exec", b"discard", b"reset"}:
            queue, self._queue = self._queue, []
            if isinstance(node[1], list) and len(node[1]) == len(queue):
                return node[0], [self._alike(each, part) for each, part in zip(queue, node[1], strict=True)]
        return self._alike(words, node)

    def _alike(self, words: Words, node: Node) -> object:
        lower = [word.lower() for word in words]
        chosen = (each.alike for each in self._differences if each.is_meant(lower))
        return next(chosen, lambda whole: whole)(node)

    def close(self) -> None:
        """Hang up."""
        self._side.close()
