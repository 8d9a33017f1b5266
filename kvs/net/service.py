"""Service: what all connections of one server share: the engine, the limits, the counts, and each other."""

import hmac
import itertools
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Final, Protocol

from kvs.engine import Engine
from kvs.net.cursors import Cursors
from kvs.net.guesses import Guesses
from kvs.net.options import DEFAULTS, ServerOptions
from kvs.net.staged import Staged
from kvs.net.stripes import Stripes
from kvs.net.watches import Watches
from kvs.resp.command import Command

_NO_LOCK: Final = nullcontext()


class Client(Protocol):
    """What a service knows of a connection."""

    id: int
    commands: int
    errors: int

    def describe(self) -> dict[str, object]:
        """Return what CLIENT LIST says of it."""

    def close_soon(self) -> None:
        """Close it when what it was answered is sent. From any thread."""


@dataclass(slots=True)
class Counts:
    """What has happened since the start; of commands and errors, what the connections that are gone did.

    Args:
        accepted: connections taken on.
        rejected: connections turned away, for there were too many.
        commands: commands carried out.
        errors: error replies.
        received_bytes, sent_bytes: on all connections.
        broken: connections closed because they broke the protocol.
        overdue: connections closed because a time-out ran out.
    """

    accepted: int = 0
    rejected: int = 0
    commands: int = 0
    errors: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0
    broken: int = 0
    overdue: int = 0


class Service:
    """What all connections of one server share.

    Args:
        engine: the store.
        commands: the commands by name, in lower and in upper case.
        options: the limits.
        is_threaded: commands of several connections run at the same time, in threads.
        gathers: the writes of a turn are staged, and written as one batch before anybody is answered.

    Attributes:
        space: what commands read and change: the engine, or the engine with this turn's changes staged on it.
        stop_soon, compact_soon: ask the server for it; whoever runs the server sets them.

    Threads: with `is_threaded`, any. What each thing guards, it says itself.
    """

    def __init__(
        self,
        engine: Engine,
        commands: Mapping[bytes, Command],
        options: ServerOptions = DEFAULTS,
        *,
        is_threaded: bool = False,
        gathers: bool = False,
    ) -> None:
        self.engine = engine
        self.staged = Staged(engine) if gathers else None
        self.space: Engine = engine if self.staged is None else self.staged  # an empty one is false
        self.commands = commands
        self.quick = {name: each for name, each in commands.items() if _is_quick(each, is_threaded=is_threaded)}
        self.options = options
        self.stripes = Stripes() if is_threaded else None
        self.watches = Watches()
        self.cursors = Cursors()
        self.guesses = Guesses()
        self.counts = Counts()
        self.clients: dict[int, Client] = {}
        self.started_at = time.time()
        self.now_s = time.monotonic()  # of the turn at hand; whoever runs the server keeps it
        self.is_stopping = False
        self._compactions = 0  # under way
        self._lock = threading.Lock()  # guards that number
        self.address = ""
        self.design = ""
        self.stop_soon: Callable[[], None] = lambda: None
        self.compact_soon: Callable[[], None] = lambda: None
        self._ids = itertools.count(1)

    def add(self, client: Client) -> None:
        """Take on a connection, and give it its number."""
        client.id = next(self._ids)
        self.clients[client.id] = client
        self.counts.accepted += 1

    def drop(self, client: Client) -> None:
        """Let a connection go that is closed; its counts are kept."""
        if self.clients.pop(client.id, None) is not None:
            self.counts.commands += client.commands
            self.counts.errors += client.errors

    @contextmanager
    def compacting(self) -> Iterator[None]:
        """Let it be known that a compaction is under way."""
        with self._lock:
            self._compactions += 1
        try:
            yield
        finally:
            with self._lock:
                self._compactions -= 1

    @property
    def is_compacting(self) -> bool:
        """Tell whether a compaction is under way that was asked for from outside."""
        return self._compactions > 0

    def lock_for(self, keys: Iterable[bytes]) -> AbstractContextManager[None]:
        """Return what to hold while these keys are read and changed as one step."""
        return self.stripes.hold(keys) if self.stripes is not None else _NO_LOCK

    def lock_for_all(self) -> AbstractContextManager[None]:
        """Return what to hold while any keys are."""
        return self.stripes.hold_all() if self.stripes is not None else _NO_LOCK

    def is_password(self, word: bytes) -> bool:
        """Tell whether this is the password, in a time that does not tell how much of it is right."""
        wanted = self.options.password
        return wanted is not None and hmac.compare_digest(wanted.encode("utf-8", "surrogateescape"), word)

    @property
    def command_count(self) -> int:
        """How many commands were carried out since the start."""
        return self.counts.commands + sum(each.commands for each in list(self.clients.values()))

    @property
    def error_count(self) -> int:
        """How many of them were answered by an error."""
        return self.counts.errors + sum(each.errors for each in list(self.clients.values()))


def _is_quick(command: Command, *, is_threaded: bool) -> bool:
    """Tell whether a command may run just as it comes, once its connection is trusted and in no transaction."""
    one_step = not (command.is_write or len(command.keys.of([b""] * 9)) > 1)
    is_plain = not (command.may_block or command.at_once or command.parts)
    return is_plain and (one_step or not is_threaded)
