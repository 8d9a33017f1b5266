"""The seam to SQLite: one file with one table, opened so that the directory's lock is the only one that counts.

    CREATE TABLE pairs (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID

SQLite compares BLOBs byte by byte, so the table lies in key order. The file is in write-ahead mode: a transaction is
appended to the WAL file, and a checkpoint copies what the WAL holds into the database file.

Contract:
    1. What a call changed has reached the kernel when it returns, so the death of the process cannot take it.
    2. What was changed before a checkpoint is durable after it; in mode "always", each change when its call returns.
       A power failure takes the latest transactions or none, and never breaks the file.
       (SQLite also makes checkpoints of its own, about every 4 MB. One that fails is silent, and is made again.)
    3. Every sqlite3.Error leaves as a StorageError, with the sqlite3.Error as its cause.

Threads: the caller's lock guards every call.
Source: sqlite.org/wal.html, sqlite.org/howtocorrupt.html
"""

import contextlib
import ctypes
import os
import re
import sqlite3
from collections.abc import Iterable
from typing import Any, Final, TypeAlias

from kvs.engines.files import DATABASE, TEMPORARY, WAL
from kvs.errors import StorageError
from kvs.log.disk import Disk
from kvs.log.options import SyncMode

Row: TypeAlias = tuple[Any, ...]

APPLICATION_ID: Final = 0x6B767331
"""Stands at offset 68 of the file, and says "kvs1"; frozen. SQLite's format has the place for it."""
APPLICATION_ID_AT: Final = slice(68, 72)

_CREATE: Final = "CREATE TABLE pairs (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID"
_STORE: Final = "INSERT INTO pairs VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
_REMOVE: Final = "DELETE FROM pairs WHERE key = ?"
# "none" is NORMAL, too. With OFF a power failure in the middle of a checkpoint would break the file for good, while the
# promise of that mode is that only the latest writes may be lost. The price is two fsyncs for about 4 MB of WAL.
_SYNCHRONOUS: Final[dict[SyncMode, str]] = {"always": "FULL", "interval": "NORMAL", "none": "NORMAL"}

CACHE_KIB: Final = 16 * 1024
WAL_BYTES: Final = 4 * 1024 * 1024
"""To what size SQLite cuts its WAL after a checkpoint. One big batch may need more for a while."""
_LEAST_WAL_BYTES: Final = 32 + 24 + 512  # a header, and one frame with the smallest page: less says nothing

PAGE_ROWS: Final = 256
PAGE_BYTES: Final = 1024 * 1024
"""A page of a scan ends after so many rows or bytes: enough to make a page cheap, few enough to let others in."""

_DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
_FAILED_FSYNC: Final = {sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_DIR_FSYNC}
_PRIMARY_CODE: Final = 0xFF


def make(disk: Disk) -> None:
    """Make an empty database in a directory. It is there, durably, or it is not: it gets its name when it is done."""
    if WAL in disk.list():
        disk.unlink(WAL)  # from an erasing that was interrupted; SQLite would believe it
    disk.write(TEMPORARY, [], sync=False)  # with the mode of our files, which SQLite passes on to its WAL
    database = Database(disk, "rw", "always", name=TEMPORARY)
    try:
        database.run("PRAGMA journal_mode = WAL")
        database.run(f"PRAGMA application_id = {APPLICATION_ID}")
        database.run(_CREATE)
        database.empty_wal()
    finally:
        database.close()
    disk.rename(TEMPORARY, DATABASE)
    disk.sync_dir()


def open_to_write(disk: Disk, sync: SyncMode) -> "Database":
    """Open the database as the directory's owner, and make durable what a killed owner may have left in the WAL."""
    database = Database(disk, "rw", sync)
    try:
        database.row("SELECT 1 FROM pairs")  # here a file that is no database shows
        database.empty_wal()
    except BaseException:
        database.close()
        raise
    return database


def open_to_read(disk: Disk) -> "Database":
    """Open the database as one of several readers, and change nothing in the directory.

    While there are readers there is no owner, so nothing in the file moves, and SQLite needs no locks and no files for
    them. After a crash the last transactions are in the WAL alone; then SQLite has to read that, too.
    """
    is_complete = _size_of(os.path.join(disk.path, WAL)) < _LEAST_WAL_BYTES
    database = Database(disk, "ro&immutable=1" if is_complete else "ro&vfs=unix-none")
    try:
        database.row("SELECT 1 FROM pairs")
    except BaseException:
        database.close()
        raise
    return database


class Database:
    """A connection to the database in a directory.

    Args:
        disk: the directory; the caller owns it, or is one of its readers.
        mode: how SQLite is to open the file, as in its URIs.
        sync: when a change becomes durable.
        name: the file.

    Raises:
        StorageError: it cannot be opened, or is no database.
    """

    def __init__(self, disk: Disk, mode: str, sync: SyncMode = "interval", *, name: str = DATABASE) -> None:
        self._path = os.path.join(disk.path, name)  # as it was given to us, for messages
        self._file = os.path.abspath(self._path)  # the same, wherever the program goes later
        self.has_failed_fsync = False
        """Once true, nobody knows what is durable, and writing on would be a lie; see WritesRefusedError."""
        try:
            self._connection = sqlite3.connect(
                _uri(self._file, mode), uri=True, isolation_level=None, check_same_thread=False, timeout=0
            )
        except sqlite3.Error as error:
            raise self._failure(error) from error
        try:
            # One process has the directory, so SQLite may keep its lock, and the WAL's index in memory instead of in a
            # file that is shared with nobody.
            self.run("PRAGMA locking_mode = EXCLUSIVE")
            self.run(f"PRAGMA synchronous = {_SYNCHRONOUS[sync]}")
            self.run("PRAGMA fullfsync = ON")  # macOS: through the drive's cache; elsewhere it means nothing
            self.run("PRAGMA checkpoint_fullfsync = ON")
            self.run(f"PRAGMA cache_size = -{CACHE_KIB}")
            self.run(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        except BaseException:
            self.close()
            raise

    # Reading.

    def row(self, sql: str, *values: bytes) -> Row | None:
        """Return the first row of an answer, or None if it has none."""
        try:
            row: Row | None = self._connection.execute(sql, values).fetchone()
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return row

    def page(self, sql: str, low: bytes, high: bytes) -> tuple[list[Row], bool]:
        """Return the first rows of an answer, and whether these are all."""
        rows: list[Row] = []
        size_bytes = 0
        try:
            for row in self._connection.execute(sql, (low, high)):
                rows.append(row)
                size_bytes += sum(map(len, row))
                if len(rows) == PAGE_ROWS or size_bytes >= PAGE_BYTES:
                    return rows, False
        except sqlite3.Error as error:
            raise self._failure(error) from error
        return rows, True

    def number(self, sql: str) -> int:
        """Return the one number that an answer consists of."""
        row = self.row(sql)
        return int(row[0]) if row else 0

    def disk_bytes(self) -> int:
        """Return what the database and its WAL take."""
        return _size_of(self._file) + _size_of(f"{self._file}-wal")

    @property
    def changes(self) -> int:
        """How many rows were changed since the database was opened: while it stays the same, so does the content."""
        return self._connection.total_changes

    # Writing.

    def run(self, sql: str) -> None:
        """Carry out a statement whose answer is of no interest."""
        self.row(sql)

    def store(self, key: bytes, value: bytes) -> None:
        """Store one pair."""
        try:
            self._connection.execute(_STORE, (key, value))
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def remove(self, key: bytes) -> bool:
        """Remove one pair, and tell whether it was there."""
        try:
            return self._connection.execute(_REMOVE, (key,)).rowcount > 0
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def write(self, stored: Iterable[tuple[bytes, bytes]], removed: Iterable[bytes]) -> None:
        """Store and remove several pairs in one transaction."""
        connection = self._connection
        try:
            connection.execute("BEGIN")
            connection.executemany(_STORE, stored)
            connection.executemany(_REMOVE, ((key,) for key in removed))
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            self._roll_back()
            raise self._failure(error) from error
        except BaseException:  # Ctrl-C, or no memory
            self._roll_back()
            raise

    def _roll_back(self) -> None:
        if self._connection.in_transaction:  # else SQLite has done it already
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")

    # The whole.

    def checkpoint(self) -> None:
        """Bring everything into the database file, durably. The WAL keeps its size, to be written over."""
        self._checkpoint("PRAGMA wal_checkpoint(PASSIVE)")

    def empty_wal(self) -> None:
        """Do the same, and cut the WAL to nothing."""
        self._checkpoint("PRAGMA wal_checkpoint(TRUNCATE)")

    def _checkpoint(self, sql: str) -> None:
        is_busy, frames, copied = self.row(sql) or (1, 0, 0)
        if is_busy or frames != copied:
            raise StorageError(f"{self._path}: another program is using the database")

    def close(self) -> None:
        """Let go of the file."""
        try:
            self._connection.close()
        except sqlite3.Error as error:
            raise self._failure(error) from error

    def leave_to_parent(self) -> None:
        """In a forked child: never close the connection, not even at the process's end.

        SQLite would do as an owner does when it closes: empty the WAL and remove it, while the parent goes on writing
        to a file that has lost its name. Python closes a connection with its last reference. So one more is made, that
        nobody has: the connection stays for as long as the child lives.
        """
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._connection))

    def _failure(self, error: sqlite3.Error) -> StorageError:
        """Return the error of ours for one of SQLite's."""
        code = getattr(error, "sqlite_errorcode", 0)
        self.has_failed_fsync = self.has_failed_fsync or code in _FAILED_FSYNC
        is_damaged = code & _PRIMARY_CODE in _DAMAGE
        return StorageError(f"{self._path}{' is damaged' if is_damaged else ''}: {error}")


def _uri(path: str, mode: str) -> str:
    """Return the URI that names a file to SQLite, whatever bytes are in its name.

    >>> _uri("/tmp/a b?", "ro")
    'file:///tmp/a%20b%3F?mode=ro'
    """
    plain = re.sub(rb"[^A-Za-z0-9/._-]", lambda found: b"%%%02X" % found[0][0], os.fsencode(path))
    return f"file://{plain.decode('ascii')}?mode={mode}"


def _size_of(path: str) -> int:
    """Return the size of a file; of one that is not there, 0."""
    try:
        return os.path.getsize(path)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
