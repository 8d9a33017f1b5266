"""The stores that one would pick instead, where their packages are installed: the extra "compare".

Each is opened with the options that its users would choose for speed without giving up safety against the death of the
process, and driven as its own documentation does it, one operation at a time.
"""
# ruff: noqa: PLC0415  # each is imported only where it is measured

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from typing import Any, ClassVar, Final

from kvs.bench.contenders import Contender, Pairs, our_engines


class RocksDb(Contender):
    """RocksDB by rocksdict, in raw mode: bytes in, bytes out."""

    label = "RocksDB"

    def __init__(self, directory: str) -> None:
        import rocksdict  # type: ignore[import-not-found,unused-ignore]  # of the extra "compare"

        self._rocksdict: Any = rocksdict
        self._store: Any = rocksdict.Rdict(directory, options=rocksdict.Options(raw_mode=True))
        self.get_one = self._store.__getitem__
        self.set_one = self._store.__setitem__
        self.remove_one = self._store.__delitem__

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

    def scan_from(self, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return pairs in key order, from a key on."""
        return list(islice(self._store.items(from_key=start), limit))

    def load(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Store pairs as one write batch."""
        batch = self._rocksdict.WriteBatch(raw_mode=True)
        for key, value in pairs:
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
        begin = self._store.begin

        def get_one(key: bytes) -> object:
            with begin() as transaction:
                return transaction.get(key)

        def set_one(key: bytes, value: bytes) -> None:
            with begin(write=True) as transaction:
                transaction.put(key, value)

        def remove_one(key: bytes) -> None:
            with begin(write=True) as transaction:
                transaction.delete(key)

        self.get_one, self.set_one, self.remove_one = get_one, set_one, remove_one

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

    def scan_from(self, start: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Return pairs in key order, from a key on."""
        with self._store.begin() as transaction:
            cursor = transaction.cursor()
            return list(islice(cursor, limit)) if cursor.set_range(start) else []

    def load(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """Store pairs in one transaction."""
        with self._store.begin(write=True) as transaction:
            transaction.cursor().putmulti(pairs)

    def close(self) -> None:
        """Close the store."""
        self._store.close()


class LmdbMapped(Lmdb):
    """LMDB writing through its memory map, flushed when the system likes: its fastest."""

    label = "LMDB writemap"
    options: ClassVar[dict[str, bool]] = {"sync": False, "writemap": True, "map_async": True}


_PEERS: Final[dict[type[Contender], str]] = {RocksDb: "rocksdict", Lmdb: "lmdb", LmdbMapped: "lmdb"}


def contenders() -> tuple[list[type[Contender]], dict[str, str]]:
    """Return who can be measured here, our own first, and the versions of the other stores' packages."""
    versions: dict[str, str] = {}
    for package in sorted(set(_PEERS.values())):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return [*our_engines(), *(peer for peer, package in _PEERS.items() if package in versions)], versions


def slug(make: type[Contender]) -> str:
    """Return the name by which a store is asked for on the command line.

    >>> slug(LmdbMapped)
    'lmdb-writemap'
    """
    return make.label.lower().replace(" ", "-")
