"""Who is measured: a store as the benchmark sees it, and this package's engines as such stores."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from typing import ClassVar

import kvs
from kvs.engine import Op

Pairs = Iterable[tuple[bytes, bytes]]


class Contender(ABC):
    """One store under measurement, open in a directory.

    Attributes:
        get_one, set_one, remove_one: one operation each, by the shortest way that the store's package offers.
    """

    label: ClassVar[str]
    get_one: Callable[[bytes], object]
    set_one: Callable[[bytes, bytes], object]
    remove_one: Callable[[bytes], object]

    @abstractmethod
    def __init__(self, directory: str) -> None:
        """Open, and make if missing, the store in a directory."""

    def set_each(self, pairs: Pairs) -> None:
        """Store pairs one at a time."""
        store = self.set_one
        for key, value in pairs:
            store(key, value)

    def get_each(self, keys: Iterable[bytes]) -> None:
        """Read keys one at a time; every one is there."""
        get = self.get_one
        for key in keys:
            if get(key) is None:
                raise LookupError(key)

    def remove_each(self, keys: Iterable[bytes]) -> None:
        """Remove keys one at a time; every one is there."""
        remove = self.remove_one
        for key in keys:
            remove(key)

    def mix_each(self, ops: Iterable[Op]) -> None:
        """Read keys that come without a value, and store those that come with one."""
        get, store = self.get_one, self.set_one
        for key, value in ops:
            if value is None:
                get(key)
            else:
                store(key, value)

    @abstractmethod
    def scan_from(self, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return pairs in key order, from a key on."""

    @abstractmethod
    def load(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Store pairs as one batch."""

    @abstractmethod
    def close(self) -> None:
        """Close the store."""


class Kvs(Contender):
    """An engine of this package, with its default options."""

    engine: ClassVar[str]
    has_hints: ClassVar[bool] = True
    """Whether it is of the log's family: its index is made anew at each opening, from hint files where there are."""

    def __init__(self, directory: str) -> None:
        self.store = kvs.open(directory, self.engine)
        self.get_one, self.set_one, self.remove_one = self.store.get, self.store.set, self.store.remove

    def scan_from(self, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return pairs in key order, from a key on."""
        return list(self.store.scan(start, limit=limit))

    def load(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Store pairs as one batch."""
        self.store.update(pairs)

    def close(self) -> None:
        """Close the store."""
        self.store.close()


class KvsLockFree(Kvs):
    """The log, read without a lock."""

    label = engine = "lockfree"


class KvsLog(Kvs):
    """The log behind one big lock."""

    label = engine = "log"


class KvsRWLock(Kvs):
    """The log behind a readers-writer lock."""

    label = engine = "rwlock"


class KvsSqlite(Kvs):
    """SQLite as an engine: an fsync for a few thousand sets, and one an interval, as with the log."""

    label = engine = "sqlite"
    has_hints = False


def our_engines() -> list[type[Kvs]]:
    """Return the engines that this tree has and that keep a directory, the one to be held against the others first."""
    return [each for each in (KvsLockFree, KvsLog, KvsRWLock, KvsSqlite) if each.engine in kvs.engine_names()]
