"""A conversation with a server under test that keeps a transcript, and says what it waited for in vain."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Final, Protocol, Self

import pytest

from support.difference import point_at
from support.wire import Wire

DEADLINE_S: Final = 5.0
LONGEST_SHOWN: Final = 160
"""How much of what was sent or received a transcript shows, in bytes."""
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class Line(Protocol):
    """What a conversation needs of a socket."""

    def sendall(self, data: bytes, /) -> None:
        """Send all of it."""

    def recv(self, size: int, /) -> bytes:
        """Return what has come, at most so many bytes; none when nothing will come any more."""

    def close(self) -> None:
        """Hang up."""


class Talk(Wire):
    """One conversation.

    Args:
        line: a socket whose time-out is the deadline, or what does as one.
        transcript: takes what was sent and received.
    """

    def __init__(self, line: Line, transcript: list[str]) -> None:
        super().__init__(line)  # type: ignore[arg-type]  # what a Line can do is all that is asked of it
        self._line = line
        self._transcript = transcript

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        __tracebackhide__ = True
        self._note(">", data)
        try:
            self._line.sendall(data)
        except TimeoutError:
            pytest.fail("the server takes no more bytes")
        except OSError as error:
            pytest.fail(f"the connection broke while bytes were sent: {error}")

    def _receive(self) -> None:
        __tracebackhide__ = True
        before = len(self._received)
        try:
            super()._receive()
        except TimeoutError as error:
            pytest.fail(f"nothing more came; what came and was not asked for yet: {bytes(self._received)!r} ({error})")
        except ConnectionResetError:
            raise EOFError(f"the connection was reset; before that came {bytes(self._received)!r}") from None
        self._note("<", bytes(self._received[before:]))

    def _note(self, mark: str, data: bytes) -> None:
        rest = f" … {len(data):,} bytes" if len(data) > LONGEST_SHOWN else ""
        self._transcript.append(f"  {mark} {data[:LONGEST_SHOWN]!r}{rest}")

    def expect(self, wanted: bytes) -> None:
        """See that these are the next bytes. The first wrong one ends the wait for the others."""
        __tracebackhide__ = True
        checked = 0
        while True:
            found = bytes(self._received[checked : len(wanted)])
            if found != wanted[checked : checked + len(found)]:
                break
            checked += len(found)
            if checked == len(wanted):
                del self._received[:checked]
                return
            try:
                self._receive()
            except EOFError:
                break
        reply = bytes(self._received[: len(wanted) + 100])
        pytest.fail(f"the reply is not what it should be\n{point_at(wanted, reply)}", pytrace=False)

    def expect_end(self) -> None:
        """See that the server closes the connection, and says nothing before."""
        __tracebackhide__ = True
        rest = self.rest()
        assert rest == b"", f"the server should have closed the connection, and said {rest[:LONGEST_SHOWN]!r}"

    def exactly(self, count: int) -> bytes:
        """Return the next so many bytes; many of them are put together in time."""
        while len(self._received) < count:
            self._receive()
        return super().exactly(count)

    def end_sending(self) -> None:
        """Say that nothing more will be sent; replies can still come."""
        self._transcript.append("  > (end)")
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Hang up the hard way, as a client does whose machine was switched off."""
        self._transcript.append("  > (reset)")
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.socket.close()


class Clients:
    """Makes the clients of a test, and hangs up for all of them in the end.

    Args:
        address: the server's, as "HOST:PORT".
        transcript: takes what they say and hear.
    """

    def __init__(self, address: str, transcript: list[str]) -> None:
        self.address = address
        self._transcript = transcript
        self._talks: list[Talk] = []

    def __call__(self, deadline_s: float = DEADLINE_S) -> Talk:
        """Connect another client.

        Args:
            deadline_s: how long it waits for anything.
        """
        self._transcript.append(f"  client {len(self._talks) + 1} connects to {self.address}")
        talk = Talk(dial(self.address, deadline_s), self._transcript)
        self._talks.append(talk)
        return talk

    def is_refused(self) -> bool:
        """Tell whether a client that comes now is refused."""
        try:
            dial(self.address, DEADLINE_S).close()
        except ConnectionError:
            return True
        return False

    def hang_up(self) -> None:
        """Close every connection."""
        for talk in self._talks:
            talk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.hang_up()


def dial(address: str, deadline_s: float) -> socket.socket:
    """Return a socket that is connected there, and waits no longer than this for anything."""
    host, _, port = address.rpartition(":")
    line = socket.create_connection((host.strip("[]"), int(port)), deadline_s)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # so that what is sent in pieces arrives in pieces
    return line


@contextlib.contextmanager
def stranger(reply: bytes, visits: int = 100) -> Iterator[str]:
    """Give the address of a server that answers whatever it is sent with these bytes, and hangs up.

    Args:
        reply: the bytes.
        visits: how many connections it takes before it goes home.
    """

    def answer() -> None:
        with listener:
            for _ in range(visits):
                line, _ = listener.accept()
                with line:
                    line.settimeout(DEADLINE_S)
                    if not line.recv(1 << 16):
                        return
                    line.sendall(reply)

    listener = socket.create_server(("127.0.0.1", 0))
    address = f"127.0.0.1:{listener.getsockname()[1]}"
    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    yield address
    with contextlib.suppress(ConnectionError):
        dial(address, DEADLINE_S).close()  # a client who says nothing sends it home
    thread.join(DEADLINE_S)


@contextlib.contextmanager
def nobody() -> Iterator[str]:
    """Give an address where nobody listens, and nobody else will begin to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"
