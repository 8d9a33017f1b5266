"""One conversation with a server, by the bytes: what a test sends is what it says, and replies come back parsed."""

import socket
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeAlias

Reply: TypeAlias = "bytes | int | bool | Exception | list[Reply] | None"
BULK: Final = b"$=!"
AGGREGATES: Final = b"*~>%"


class ErrorReply(Exception):  # noqa: N818  # it is what a server replies, and mostly it is no error of the test
    """An error that the server replied; its text is the server's, code and all."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ErrorReply) and self.args == other.args

    def __hash__(self) -> int:
        return hash(self.args)


SIMPLE: Final[dict[bytes, Callable[[bytes], Reply]]] = {
    b"+": bytes,
    b",": bytes,
    b"(": bytes,
    b":": int,
    b"-": lambda text: ErrorReply(text.decode()),
    b"_": lambda _: None,
    b"#": lambda letter: letter == b"t",
}


class Wire:
    """A connected socket and what was received on it and not asked for yet.

    Args:
        talk: the socket; its time-out is the deadline of every wait.
    """

    def __init__(self, talk: socket.socket) -> None:
        self.socket = talk
        self._received = bytearray()

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(data)

    def command(self, *words: bytes | str | int) -> None:
        """Send a command, as an array of bulk strings."""
        self.send(frame(*words))

    def call(self, *words: bytes | str | int) -> Reply:
        """Send a command and return the reply; an error reply is returned, not raised."""
        self.command(*words)
        return self.reply()

    def reply(self) -> Reply:
        """Return the next reply: simple strings and bulk strings as bytes, maps as flat lists, errors as ErrorReply.

        Raises:
            EOFError: the server closed the connection.
        """
        line = self.line()
        kind, rest = line[:1], line[1:]
        if kind in SIMPLE:
            return SIMPLE[kind](rest)
        assert kind in BULK + AGGREGATES, f"no reply begins with {line[:40]!r}"
        size = int(rest)
        if size < 0:
            return None
        if kind in AGGREGATES:
            return [self.reply() for _ in range(size * (2 if kind == b"%" else 1))]
        data = self.exactly(size + 2)
        assert data.endswith(b"\r\n"), f"a bulk string does not end with CRLF: {data[-20:]!r}"
        return ErrorReply(data[:-2].decode()) if kind == b"!" else data[:-2]

    def line(self) -> bytes:
        """Return the next line without its CRLF."""
        while (end := self._received.find(b"\r\n")) < 0:
            self._receive()
        line = bytes(self._received[:end])
        del self._received[: end + 2]
        return line

    def exactly(self, count: int) -> bytes:
        """Return the next so many bytes."""
        while len(self._received) < count:
            self._receive()
        data = bytes(self._received[:count])
        del self._received[:count]
        return data

    def rest(self) -> bytes:
        """Return everything until the server closes the connection; a reset is a close, too."""
        try:
            while True:
                self._receive()
        except (EOFError, ConnectionResetError):
            return bytes(self._received)

    def _receive(self) -> None:
        chunk = self.socket.recv(1 << 16)
        if not chunk:
            raise EOFError(f"the server closed the connection; before that it sent {bytes(self._received)!r}")
        self._received += chunk

    def close(self) -> None:
        """Close the connection."""
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def frame(*words: bytes | str | int) -> bytes:
    r"""Return a command as it goes over the wire.

    >>> frame("GET", b"key")
    b'*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n'
    """
    raw = [word if isinstance(word, bytes) else str(word).encode() for word in words]
    return b"*%d\r\n" % len(raw) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in raw)
