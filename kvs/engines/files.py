"""Names in the directory of a sqlite store: which files are ours.

    LOCK                 held by the owner; names its process id
    ENGINE               the engine family and its format version: "sqlite 1"
    kvs.sqlite3          the database
    kvs.sqlite3-wal      SQLite's write-ahead log: what was written and is not in the database yet
    kvs.sqlite3.tmp      a database being made, with what SQLite puts beside it; of no use after a crash

Every other name is somebody else's, and is never touched.
"""

from collections.abc import Iterable
from typing import Final

from kvs.log.files import ENGINE, ENGINE_TEMPORARY

FAMILY: Final = "sqlite"
VERSION: Final = 1
"""What the ENGINE file says of a store of ours."""

DATABASE: Final = "kvs.sqlite3"
WAL: Final = "kvs.sqlite3-wal"
TEMPORARY: Final = "kvs.sqlite3.tmp"
_TEMPORARIES: Final = (TEMPORARY, f"{TEMPORARY}-journal", f"{TEMPORARY}-wal")

_ERASING_ORDER: Final = (ENGINE_TEMPORARY, *_TEMPORARIES, ENGINE, DATABASE, WAL)
"""The promise to be a store goes before the bytes, and the database before its log: what an interruption leaves is the
store as it was, or no store. The other way round it could be the store as it was some time ago."""


def ours(names: Iterable[str]) -> list[str]:
    """Return those names that belong to a sqlite store, the lock apart, in the order in which to erase them.

    >>> ours(["notes.txt", "kvs.sqlite3-wal", "LOCK", "kvs.sqlite3", "ENGINE"])
    ['ENGINE', 'kvs.sqlite3', 'kvs.sqlite3-wal']
    """
    there = set(names)
    return [name for name in _ERASING_ORDER if name in there]
