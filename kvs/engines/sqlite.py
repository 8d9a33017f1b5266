"""SqliteEngine: the contract kept by SQLite, which comes with Python.

The second engine, and the proof that the contract is one: all that is known of a store elsewhere is in kvs.engine. It
needs no index in memory, so a store may be larger than memory and opens at once. What it has not: checksums of its own.
A flipped bit within a value is returned as it stands on the disk.

Invariants:
    1. The connection belongs to this object. SQLite's own locks are never waited for: who is in is decided by LOCK.
    2. The connection is closed before the lock is let go, or the next owner would meet SQLite still tidying up.

Threads: one connection, and one lock around it. SQLite takes one writer at a time, and a connection does one thing at a
time, so threads would wait for each other anyway. With a connection each, readers could go on during a write, at the
price of files that the connections share. The lock is also what makes one step of "look, then write".
"""

import contextlib
import logging
import os
import threading
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self, TypeVar, overload

from kvs.engine import Engine, EngineStats, Op, check_batch, check_key, check_type, check_value
from kvs.engines import opening
from kvs.engines.database import Database
from kvs.engines.scan import Scan
from kvs.errors import KeyNotFoundError, StorageError, StoreClosedError, StoreMissingError, WritesRefusedError
from kvs.log.disk import OsDisk, OsLock
from kvs.log.options import DEFAULTS, LogOptions, SyncMode
from kvs.log.ticker import Ticker

logger = logging.getLogger(__name__)

T = TypeVar("T")

_GET: Final = "SELECT value FROM pairs WHERE key = ?"
_HAS: Final = "SELECT 1 FROM pairs WHERE key = ?"
_COUNT: Final = "SELECT count(*), coalesce(sum(length(key) + length(value)), 0) FROM pairs"
_KEYS: Final = "SELECT key FROM pairs WHERE key >= ? AND key < ? ORDER BY key"
_PAIRS: Final = "SELECT key, value FROM pairs WHERE key >= ? AND key < ? ORDER BY key"
_PAIRS_BACK: Final = "SELECT key, value FROM pairs WHERE key >= ? AND key < ? ORDER BY key DESC"
_FORK: Final = "this process is a fork of the one that opened it; open the store anew"


@dataclass(frozen=True, slots=True)
class SqliteStats(EngineStats):
    """What a sqlite engine can say of itself. `live_bytes` counts keys and values, `dead_bytes` pages that are free.

    Args:
        disk_bytes: what the database and its WAL take.
    """

    disk_bytes: int


class SqliteEngine(Engine):
    """A key-value store in an SQLite database. Make one with `SqliteEngine.open`.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as directory:
    ...     with SqliteEngine.open(directory) as store:
    ...         store[b"snowman"] = "☃".encode()
    ...     with SqliteEngine.open(directory, flag="r") as store:
    ...         store[b"snowman"].decode()
    '☃'
    """

    name = "sqlite"
    _database: Database | None = None

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        flag: str = "c",
        sync: SyncMode = DEFAULTS.sync,
        sync_interval_s: float = DEFAULTS.sync_interval_s,
    ) -> Self:
        """Open the store in a directory.

        Args:
            path: the directory.
            flag: as for `dbm.open`: "r" read only, "w" read and write, "c" the same and create it if missing, "n"
                always begin anew. Several may read at once, while nobody writes.
            sync: "always", "interval" or "none", with the meanings they have for the log; see LogOptions.
            sync_interval_s: seconds.

        Raises:
            ValueError: an option outside its range.
            StoreMissingError: nothing there, and the flag is "r" or "w".
            StoreLockedError: somebody else has it open.
            WrongEngineError, UnsupportedFormatError: it is not of this engine, or of a later version.
            StorageError: the system or SQLite refused, or the file is damaged.
        """
        return cls(OsDisk(path), LogOptions(sync, sync_interval_s), flag=flag)

    def __init__(self, disk: OsDisk, options: LogOptions = DEFAULTS, *, flag: str = "c") -> None:
        if flag not in {"r", "w", "c", "n"}:
            raise ValueError(f"flag is one of r, w, c, n, not {flag!r}")
        self._disk = disk
        self._options = options
        self._lock = threading.Lock()  # guards every field below, the database, and what they refer to
        self._is_closed = False
        self._is_reader = flag == "r"
        self._refusal = "it was opened to read only" if self._is_reader else None
        self._ticker: Ticker | None = None
        self._scans: weakref.WeakSet[Scan] = weakref.WeakSet()  # those under way; one that is dropped is gone
        self._counts = (0, 0)
        self._counted_at = -1
        self._dir_lock = self._own(flag)
        try:
            self._database = opening.open_database(disk, flag, options.sync)
        except BaseException:
            self._dir_lock.release()
            raise

    def _own(self, flag: str) -> OsLock:
        """Become the directory's owner, or a reader; make the directory where the flag says so."""
        disk = self._disk
        if flag in "cn" and not disk.exists():
            disk.make()
        try:
            is_there = opening.is_there(disk)  # before the lock: nothing of another engine's is touched
        except StoreMissingError:
            is_there = False
        if not is_there and flag in "rw":
            raise StoreMissingError(f"there is no store in {disk.path}")
        return disk.lock(exclusive=flag != "r", in_child=self._become_child)

    def _become_child(self) -> None:
        """In a forked child: own nothing, touch nothing, and wait for no lock of a thread that is not here."""
        self._lock = threading.Lock()
        self._ticker = None
        self._refusal = _FORK
        if self._database is not None:
            self._database.leave_to_parent()
            self._database = None

    # Reading.

    @overload
    def get(self, key: bytes, default: None = None) -> bytes | None: ...
    @overload
    def get(self, key: bytes, default: bytes | T) -> bytes | T: ...
    def get(self, key: bytes, default: T | None = None) -> bytes | T | None:
        """Return the value stored under `key`, or `default` when there is none."""
        check_type(key)
        with self._lock:
            row = self._readable().row(_GET, key)
        return default if row is None else row[0]

    def __contains__(self, key: object) -> bool:
        with self._lock:
            opened = self._readable()
            return isinstance(key, bytes) and opened.row(_HAS, key) is not None

    def __len__(self) -> int:
        with self._lock:
            return self._count()[0]

    def __iter__(self) -> Iterator[bytes]:
        return (key for (key,) in self._begin(Scan(), _KEYS))

    def scan(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        *,
        prefix: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Walk keys and values in key order; see Engine.scan.

        Cost: a page is read at a time, so a walk takes the memory of a page; and of the keys that come meanwhile.
        """
        scan = Scan(start, stop, prefix=prefix, limit=limit, reverse=reverse)
        return ((key, value) for key, value in self._begin(scan, _PAIRS_BACK if reverse else _PAIRS))

    def _begin(self, scan: Scan, sql: str) -> Iterator[tuple[bytes, ...]]:
        with self._lock:
            self._readable()
            self._scans.add(scan)
        return self._pages(scan, sql)

    def _pages(self, scan: Scan, sql: str) -> Iterator[tuple[bytes, ...]]:
        while not scan.is_over:
            with self._lock:
                rows, is_last = self._readable().page(sql, scan.low, scan.high)
                shown = scan.take(rows, is_last=is_last)
            yield from shown

    # Writing.

    def set(self, key: bytes, value: bytes) -> None:
        """Store `value` under `key`, replacing what was there.

        Raises:
            TypeError, InvalidKeyError, InvalidValueError: as Engine.set.
            WritesRefusedError: this handle may not write (any more).
            StorageError: the disk is full, or another refusal; nothing was changed.
        """
        check_key(key)
        check_value(value)
        with self._lock:
            opened = self._writable()
            self._tell_scans([key])
            opened.store(key, value)

    def remove(self, key: bytes) -> None:
        """Remove `key`; KeyNotFoundError when it is not there."""
        check_key(key)
        with self._lock:
            if not self._writable().remove(key):
                raise KeyNotFoundError(key)

    def write(self, ops: Iterable[Op]) -> None:
        """Apply several sets and removes as one transaction; what it raises is what `set` does."""
        batch = check_batch(ops)
        stored = [(key, value) for key, value in batch.items() if value is not None]
        removed = [key for key, value in batch.items() if value is None]
        with self._lock:
            opened = self._writable()
            self._tell_scans([key for key, _ in stored])
            if batch:
                opened.write(stored, removed)

    def clear(self) -> None:
        """Remove every key at once."""
        with self._lock:
            self._writable().run("DELETE FROM pairs")

    def _tell_scans(self, keys: list[bytes]) -> None:
        """Let the scans under way know which of the keys that are about to be set are new."""
        if not self._scans:
            return
        opened = self._readable()
        for key in keys:
            if opened.row(_HAS, key) is None:
                for scan in self._scans:
                    scan.note(key)

    def _sync_now_and_then(self) -> None:
        """What the ticker calls in mode "interval"."""
        with self._lock:
            try:
                if self._database is not None and not self._database.has_failed_fsync:
                    self._database.checkpoint()
            except StorageError:
                logger.exception("%s: what was written last is not durable yet", self._disk.path)

    def sync(self) -> None:
        """Return when every write so far is on the disk itself.

        Raises:
            WritesRefusedError: an fsync failed before, and took the promise with it.
            StorageError: it fails now.
        """
        with self._lock:
            opened = self._readable()
            if not self._is_reader:
                self._check_writable()
                opened.checkpoint()

    # The whole.

    def compact(self) -> None:
        """Write the database anew without the pages that are free. The world stops meanwhile.

        Cost: reads and writes all that is live, and needs room for it twice: beside the file and in the WAL.
        """
        with self._lock:
            opened = self._writable()
            opened.run("VACUUM")
            opened.empty_wal()

    def stats(self) -> SqliteStats:
        """Return the engine's figures of this moment.

        Cost: the first after a write reads the whole table.
        """
        with self._lock:
            keys, live_bytes = self._count()
            opened = self._readable()
            dead_bytes = opened.number("PRAGMA freelist_count") * opened.number("PRAGMA page_size")
            return SqliteStats(self.name, keys, live_bytes, dead_bytes, opened.disk_bytes())

    def _count(self) -> tuple[int, int]:
        """Return how many keys there are, and the bytes of all keys and values."""
        opened = self._readable()
        if self._counted_at != opened.changes:
            keys, live_bytes = opened.row(_COUNT) or (0, 0)
            self._counts, self._counted_at = (keys, live_bytes), opened.changes
        return self._counts

    def close(self) -> None:
        """Bring everything into the database file, durably, and let go of the directory.

        Raises:
            StorageError: that failed. The store is closed all the same, and what was acknowledged is in the WAL.
        """
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            ticker, self._ticker = self._ticker, None
        if ticker is not None:
            ticker.stop()  # without the lock, for the ticker may be waiting for it
        with self._lock:
            opened, self._database = self._database, None
            try:
                if opened is not None and not self._is_reader and not opened.has_failed_fsync:
                    opened.empty_wal()
            finally:
                self._let_go(opened)

    def _let_go(self, opened: Database | None) -> None:
        """Close the connection, then give up the directory: in this order, see above."""
        try:
            if opened is not None:
                opened.close()
        finally:
            self._dir_lock.release()

    def _readable(self) -> Database:
        """Return the database. The caller holds the lock."""
        if self._is_closed:
            raise StoreClosedError
        if self._database is None:
            raise StorageError(f"{self._disk.path} cannot be read here: {_FORK}")
        return self._database

    def _check_writable(self) -> None:
        """Raise StoreClosedError after close, WritesRefusedError where writes are refused."""
        if self._is_closed:
            raise StoreClosedError
        if self._database is not None and self._database.has_failed_fsync:
            self._refusal = "an fsync failed, and nobody knows what is durable"
        if self._refusal is not None:
            raise WritesRefusedError(f"{self._disk.path} takes no writes: {self._refusal}")

    def _writable(self) -> Database:
        """Return the database, to write to. The caller holds the lock."""
        self._check_writable()
        if self._ticker is None and self._options.sync == "interval":
            self._ticker = Ticker(self._sync_now_and_then, self._options.sync_interval_s)
        return self._readable()

    def __del__(self) -> None:
        """Do for a store that was dropped without close() what SQLite and the lock would do in the wrong order.

        The lock is for the ticker. While this runs, Python still lets it have the object by its weak reference.
        """
        if self._database is None:
            return
        with self._lock, contextlib.suppress(StorageError):
            opened, self._database = self._database, None
            self._let_go(opened)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._disk.path!r}, {'closed' if self._is_closed else 'open'}>"
