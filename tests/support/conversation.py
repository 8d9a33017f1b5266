"""Conversation: one client's talk with the server's commands, without a server: no socket, no thread, no waiting."""

import time
from typing import Any, Final

from kvs.engine import Engine
from kvs.memory import MemoryEngine
from kvs.net.commands.table import COMMANDS
from kvs.net.connection import Connection
from kvs.net.options import DEFAULTS, ServerOptions
from kvs.net.service import Service
from kvs.resp.reply import ReplyDecoder
from support.wire import frame

NOTHING: Final = object()
"""What `say` returns when there is no reply."""


def service_of(engine: Engine | None = None, options: ServerOptions = DEFAULTS, **design: bool) -> Service:
    """Return what connections share; of an engine in memory unless told otherwise."""
    return Service(MemoryEngine() if engine is None else engine, COMMANDS, options, **design)


class Conversation:
    """One client.

    Args:
        service: what it shares with the others.
        host: where it comes from.
        defers: what may block waits for somebody to run it; else it runs in place.
    """

    def __init__(self, service: Service, host: str = "203.0.113.7", *, defers: bool = False) -> None:
        self.service = service
        self.connection = Connection(service, f"{host}:1", host, since=time.time(), defers=defers)
        self.was_closed = False
        self.connection.close_soon = self._close_soon
        service.add(self.connection)
        self._decoder = ReplyDecoder()

    def say(self, *words: bytes | str | int) -> Any:
        """Send a command and return its reply; an error reply as a RemoteError."""
        (reply,) = self.say_all(words) or [NOTHING]
        return reply

    def say_all(self, *commands: tuple[bytes | str | int, ...]) -> list[Any]:
        """Send commands in one go and return their replies."""
        self.connection.receive(b"".join(frame(*words) for words in commands))
        return self.heard()

    def line(self, text: str) -> Any:
        """Send a command as a line of words and return its reply."""
        return self.say(*text.split())

    def error(self, *words: bytes | str | int) -> str:
        """Send a command that has to be refused, and return the error."""
        reply = self.say(*words)
        assert isinstance(reply, Exception), f"{words!r} was not refused, but answered {reply!r}"
        return str(reply)

    def heard(self) -> list[Any]:
        """Return the replies that are there and were not returned yet."""
        raw = b"".join(bytes(part) for part in self.connection.out)
        self.connection.out.clear()
        self.connection.out_bytes = 0
        return self._decoder.feed(raw)

    def close(self) -> None:
        """Hang up."""
        self.connection.close()

    def _close_soon(self) -> None:
        self.was_closed = True
