"""One server for many tests: started for the first, looked after between them, and started anew where one broke it."""

from collections.abc import Callable
from typing import Final, Protocol

from support.talk import dial
from support.wire import Wire

PATIENCE_S: Final = 2.0
"""How long a server that is well may take to answer PING."""


class Startable(Protocol):
    """A server that runs."""

    address: str

    def end(self) -> None:
        """End it, one way or the other."""


class SharedServer:
    """Keeps one server.

    Args:
        start: starts a server.
    """

    def __init__(self, start: Callable[[], Startable]) -> None:
        self._start = start
        self._server: Startable | None = None

    @property
    def address(self) -> str:
        """The address of a server that answers."""
        if self._server is not None and not _is_well(self._server.address):
            self.end()
        if self._server is None:
            self._server = self._start()
        return self._server.address

    def end(self) -> None:
        """End the server."""
        if self._server is not None:
            self._server.end()
            self._server = None


def _is_well(address: str) -> bool:
    """Tell whether the server answers."""
    try:
        with Wire(dial(address, PATIENCE_S)) as wire:
            return wire.call("PING") == b"PONG"
    except (OSError, EOFError, AssertionError):
        return False
