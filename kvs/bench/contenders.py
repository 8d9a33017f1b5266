"""Who is measured: this package's engines, and the bindings of other stores where they are installed.

Each is opened with the options that its users would choose for speed without giving up safety against the death of the
process, and driven as its own documentation does it, one operation at a time.
"""
# ruff: noqa: PLC0415  # each contender is imported only where it is measured

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import Any, ClassVar, Final

import kvs

Pairs = Iterable[tuple[bytes, bytes]]


class Contender(ABC):
    """One store under measurement, open in a directory."""

    label: str

    @abstractmethod
    def __init__(self, directory: str) -> None:
        """Open, and make if missing, the store in a directory."""

    @abstractmethod
    def set_each(self, pairs: Pairs) -> None:
        """Store pairs one at a time."""

    @abstractmethod
    def get_each(self, keys: Iterable[bytes]) -> None:
        """Read keys one at a time; every one is there."""

    @abstractmethod
    def first(self, limit: int) -> list[tuple[bytes, bytes]]:
        """Return the first pairs in key order."""

    @abstractmethod
    def load(self, pairs: Pairs) -> None:
        """Store pairs in the fastest way there is."""

    @abstractmethod
    def close(self) -> None:
        """Close the store."""


class Kvs(Contender):
    """kvs itself, with its default options."""

    label = "kvs log"
    engine = "log"

    def __init__(self, directory: str) -> None:
        self._store = kvs.open(directory, self.engine)

    def set_each(self, pairs: Pairs) -> None:
        """Store pairs one at a time."""
        store = self._store.set
        for key, value in pairs:
            store(key, value)

    def get_each(self, keys: Iterable[bytes]) -> None:
        """Read keys one at a time."""
        get = self._store.get
        for key in keys:
            if get(key) is None:
                raise LookupError(key)

    def first(self, limit: int) -> list[tuple[bytes, bytes]]:
        """Return the first pairs in key order."""
        return list(self._store.scan(limit=limit))

    def load(self, pairs: Pairs) -> None:
        """Store pairs as one batch."""
        self._store.update(pairs)

    def close(self) -> None:
        """Close the store."""
        self._store.close()


class KvsSqlite(Kvs):
    """kvs on SQLite: an fsync for a few thousand sets, and one an interval, as with the log."""

    label = "kvs sqlite"
    engine = "sqlite"


class RocksDb(Contender):
    """RocksDB by rocksdict, in raw mode: bytes in, bytes out."""

    label = "RocksDB"

    def __init__(self, directory: str) -> None:
        import rocksdict  # type: ignore[import-not-found,unused-ignore]  # of the extra "compare"

        self._rocksdict: Any = rocksdict
        self._store: Any = rocksdict.Rdict(directory, options=rocksdict.Options(raw_mode=True))

    def set_each(self, pairs: Pairs) -> None:
        """Store pairs one at a time."""
        store = self._store
        for key, value in pairs:
            store[key] = value

    def get_each(self, keys: Iterable[bytes]) -> None:
        """Read keys one at a time."""
        store = self._store
        for key in keys:
            store[key]

    def first(self, limit: int) -> list[tuple[bytes, bytes]]:
        """Return the first pairs in key order."""
        return list(islice(self._store.items(), limit))

    def load(self, pairs: Pairs) -> None:
        """Store pairs in write batches."""
        rest = iter(pairs)
        while part := list(islice(rest, 10_000)):
            batch = self._rocksdict.WriteBatch(raw_mode=True)
            for key, value in part:
                batch[key] = value
            self._store.write(batch)

    def close(self) -> None:
        """Close the store."""
        self._store.close()


class Lmdb(Contender):
    """LMDB without fsync, a transaction for each operation."""

    label = "LMDB no-sync"
    options: ClassVar[dict[str, bool]] = {"sync": False}

    def __init__(self, directory: str) -> None:
        import lmdb  # type: ignore[import-not-found,import-untyped,unused-ignore]  # of the extra "compare"

        self._store: Any = lmdb.open(directory, map_size=4 << 30, **self.options)

    def set_each(self, pairs: Pairs) -> None:
        """Store pairs one at a time."""
        begin = self._store.begin
        for key, value in pairs:
            with begin(write=True) as transaction:
                transaction.put(key, value)

    def get_each(self, keys: Iterable[bytes]) -> None:
        """Read keys one at a time."""
        begin = self._store.begin
        for key in keys:
            with begin() as transaction:
                if transaction.get(key) is None:
                    raise LookupError(key)

    def first(self, limit: int) -> list[tuple[bytes, bytes]]:
        """Return the first pairs in key order."""
        with self._store.begin() as transaction:
            walk: Iterator[tuple[bytes, bytes]] = islice(transaction.cursor(), limit)
            return list(walk)

    def load(self, pairs: Pairs) -> None:
        """Store pairs in one transaction."""
        with self._store.begin(write=True) as transaction:
            transaction.cursor().putmulti(list(pairs))

    def close(self) -> None:
        """Close the store."""
        self._store.close()


class LmdbMapped(Lmdb):
    """LMDB writing through its memory map, flushed when the system likes: its fastest."""

    label = "LMDB writemap"
    options: ClassVar[dict[str, bool]] = {"sync": False, "writemap": True, "map_async": True}


_PEERS: Final[dict[type[Contender], str]] = {RocksDb: "rocksdict", Lmdb: "lmdb", LmdbMapped: "lmdb"}


def contenders() -> tuple[list[type[Contender]], dict[str, str]]:
    """Return who can be measured here, kvs first, and the versions of the other stores' packages."""
    versions: dict[str, str] = {}
    for package in set(_PEERS.values()):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    ours = [each for each in (Kvs, KvsSqlite) if each.engine in kvs.engine_names()]
    return [*ours, *(peer for peer, package in _PEERS.items() if package in versions)], versions
