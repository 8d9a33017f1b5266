"""A server that follows a script: real sockets, and on them exactly what the test wants, the wrong things too."""

import contextlib
import queue
import select
import socket
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self, TypeAlias

from kvs.resp.decoder import CommandDecoder

DEADLINE_S: Final = 10.0


class Peer:
    """The server's end of one connection.

    Attributes:
        number: which connection it is, from 1.
    """

    def __init__(self, talk: socket.socket, number: int, heard: "queue.Queue[tuple[int, list[bytes]]]") -> None:
        talk.settimeout(DEADLINE_S)
        self.talk = talk
        self.number = number
        self._heard = heard
        self._decoder = CommandDecoder()
        self._commands: list[list[bytes]] = []

    def hear(self) -> list[bytes]:
        """Return the next command; fail at the end of the connection."""
        while not self._commands:
            data = self.talk.recv(1 << 16)
            if not data:
                raise EOFError("the client closed the connection")
            self._commands = self._decoder.feed(data)
        command = self._commands.pop(0)
        self._heard.put((self.number, command))
        return command

    def say(self, data: bytes) -> None:
        """Send bytes."""
        self.talk.sendall(data)

    def answer(self, data: bytes) -> list[bytes]:
        """Hear a command and send an answer."""
        command = self.hear()
        self.say(data)
        return command

    def serve(self, answers: Callable[[list[bytes]], bytes]) -> None:
        """Answer commands until the client goes."""
        with contextlib.suppress(EOFError):
            while True:
                self.say(answers(self.hear()))

    def expect_end(self) -> None:
        """See that the client closes the connection and says nothing more."""
        data = self.talk.recv(1)
        assert data == b"", f"the client said more: {data!r}"


Script: TypeAlias = Callable[[Peer], None]


class Scripted:
    """A server on a free port of this machine, with a thread for each connection.

    Args:
        script: what it does on each connection; when it returns, the connection is closed.
        path: where to listen instead: a Unix socket.
        tls: encrypts each connection.

    Attributes:
        heard: the commands that were heard, each with the number of its connection.
        ended: set when a script has come to its end, by the connection's number.
    """

    def __init__(self, script: Script, *, path: Path | None = None, tls: ssl.SSLContext | None = None) -> None:
        self._script = script
        self._tls = tls
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._listener.bind(str(path) if path else ("127.0.0.1", 0))
        self._listener.listen()
        self._listener.settimeout(DEADLINE_S)
        place = f"unix:{path}" if path else f"127.0.0.1:{self._listener.getsockname()[1]}"
        self.address = f"tls:{place}" if tls else place
        self.heard: queue.Queue[tuple[int, list[bytes]]] = queue.Queue()
        self.connections = 0
        self._errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []
        self._stop, self._stopped = socket.socketpair()
        self._start(self._accept)

    def _start(self, run: Callable[[], None]) -> None:
        thread = threading.Thread(target=run, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            ready, _, _ = select.select([self._listener, self._stopped], [], [])
            if self._stopped in ready:
                return
            talk, _ = self._listener.accept()
            self.connections += 1
            number = self.connections
            self._start(lambda talk=talk, number=number: self._follow(talk, number))

    def _follow(self, talk: socket.socket, number: int) -> None:
        try:
            with talk:
                if self._tls:
                    talk = self._tls.wrap_socket(talk, server_side=True)
                with talk:
                    self._script(Peer(talk, number, self.heard))
        except (EOFError, ConnectionError, ssl.SSLError):
            pass
        except BaseException as error:  # noqa: BLE001  # the test's own thread tells
            self._errors.append(error)

    def heard_so_far(self) -> list[list[bytes]]:
        """Return the commands that were heard, of all connections."""
        return [self.heard.get_nowait()[1] for _ in range(self.heard.qsize())]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.close()
        for thread in self._threads:
            thread.join(DEADLINE_S)
        self._listener.close()
        self._stopped.close()
        if kind is None:
            assert not any(thread.is_alive() for thread in self._threads), "a script goes on"
            for each in self._errors:
                raise each


def free_address() -> str:
    """Return an address on which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{probe.getsockname()[1]}"
