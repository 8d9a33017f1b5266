"""kvs: a crash-safe key-value store with the feel of a dict.

    import kvs

    with kvs.open("data") as store:
        store[b"snowman"] = "☃".encode()
        print(store[b"snowman"].decode())

This file is the face: every public name of the package, and nothing else. A name is imported when it is first
used, so that a program pays for no more than it needs. In a tree that does not have all the stages yet, the names of
the later stages are missing, and say so.
"""

from collections.abc import Iterable
from importlib import import_module
from importlib.util import find_spec
from os import PathLike
from typing import TYPE_CHECKING, Any, Final, Literal, overload

from kvs.engine import MAX_KEY_BYTES, MAX_VALUE_BYTES, Engine, EngineStats
from kvs.errors import (
    CorruptRecordError,
    DisconnectedError,
    InvalidKeyError,
    InvalidValueError,
    KeyNotFoundError,
    KvsError,
    PoolClosedError,
    ProtocolError,
    RemoteError,
    StorageError,
    StoreClosedError,
    StoreLockedError,
    StoreMissingError,
    UnsupportedFormatError,
    WritesRefusedError,
    WrongEngineError,
)
from kvs.memory import MemoryEngine

if TYPE_CHECKING:
    from kvs.engines.sqlite import SqliteEngine
    from kvs.lockfree.rwstore import RWLockEngine
    from kvs.lockfree.store import LockFreeEngine
    from kvs.log.options import SyncMode
    from kvs.log.store import LogEngine
    from kvs.net.client import KvsClient
    from kvs.net.options import ServerOptions
    from kvs.net.server import KvsServer
    from kvs.pool.base import ThreadPool
    from kvs.pool.executor import ExecutorThreadPool
    from kvs.pool.naive import NaiveThreadPool
    from kvs.pool.shared_queue import SharedQueueThreadPool

__version__: Final = "0.1.0"
__all__ = [
    "MAX_KEY_BYTES",
    "MAX_VALUE_BYTES",
    "CorruptRecordError",
    "DisconnectedError",
    "Engine",
    "EngineStats",
    "ExecutorThreadPool",
    "InvalidKeyError",
    "InvalidValueError",
    "KeyNotFoundError",
    "KvsClient",
    "KvsError",
    "KvsServer",
    "LockFreeEngine",
    "LogEngine",
    "MemoryEngine",
    "NaiveThreadPool",
    "PoolClosedError",
    "ProtocolError",
    "RWLockEngine",
    "RemoteError",
    "ServerOptions",
    "SharedQueueThreadPool",
    "SqliteEngine",
    "StorageError",
    "StoreClosedError",
    "StoreLockedError",
    "StoreMissingError",
    "ThreadPool",
    "UnsupportedFormatError",
    "WritesRefusedError",
    "WrongEngineError",
    "engine_names",
    "open",
]

_HOMES: Final = {
    "KvsClient": "kvs.net.client",
    "KvsServer": "kvs.net.server",
    "ServerOptions": "kvs.net.options",
    "LogEngine": "kvs.log.store",
    "RWLockEngine": "kvs.lockfree.rwstore",
    "LockFreeEngine": "kvs.lockfree.store",
    "SqliteEngine": "kvs.engines.sqlite",
    "ThreadPool": "kvs.pool.base",
    "NaiveThreadPool": "kvs.pool.naive",
    "SharedQueueThreadPool": "kvs.pool.shared_queue",
    "ExecutorThreadPool": "kvs.pool.executor",
}
"""Where the names live that are imported on first use."""

_ENGINES: Final = {"lockfree": "LockFreeEngine", "log": "LogEngine", "rwlock": "RWLockEngine", "sqlite": "SqliteEngine"}
"""Engines that keep a directory, the default first. A tree without any of them yet keeps its map in memory."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'kvs' has no attribute {name!r}")
    if not _is_built(name):
        raise AttributeError(f"kvs.{name} is not built yet: it belongs into {_HOMES[name].replace('.', '/')}.py")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


@overload
def open(  # noqa: A001  # as below
    path: str | PathLike[str],
    engine: Literal["log", "rwlock", "lockfree"],
    *,
    flag: Literal["r", "w", "c", "n"] = "c",
    sync: "SyncMode" = "interval",
    sync_interval_s: float = 1.0,
    segment_bytes: int = ...,
    compact_dead_bytes: int = ...,
    compact_dead_ratio: float = 0.5,
) -> "LogEngine": ...
@overload
def open(  # noqa: A001  # as below
    path: str | PathLike[str],
    engine: Literal["sqlite"],
    *,
    flag: Literal["r", "w", "c", "n"] = "c",
    sync: "SyncMode" = "interval",
    sync_interval_s: float = 1.0,
) -> "SqliteEngine": ...
@overload
def open(  # noqa: A001  # as below
    path: str | PathLike[str], engine: str | None = None, *, flag: str = "c", **options: Any
) -> Engine: ...
def open(  # noqa: A001  # as dbm.open and shelve.open: always written kvs.open
    path: str | PathLike[str], engine: str | None = None, *, flag: str = "c", **options: Any
) -> Engine:
    """Open the store in a directory, making it if there is none.

    Args:
        path: the directory.
        engine: the engine's name, one of `engine_names()`. Unless told otherwise it is the one that the directory
            belongs to, and for a new store the first of them.
        flag: as for `dbm.open`: "r" read only, "w" read and write, "c" the same and create it if missing,
            "n" always begin a new, empty store.
        options: what the engine's own `open` takes. Of "lockfree", "log" and "rwlock" these are `sync` ("always",
            "interval" or "none"), `sync_interval_s`, `segment_bytes`, `compact_dead_bytes` and `compact_dead_ratio`;
            see `LogEngine.open`. Engine "sqlite" has the first two. A store in memory has none.

    Raises:
        ValueError: no such engine or flag.
        StorageError: the directory cannot be used; its subclasses tell why.
    """
    names = engine_names()
    name = engine if engine is not None else _remembered_engine(path) or names[0]
    if name not in names:
        raise ValueError(f"no engine is called {name!r}; there are {', '.join(names)}")
    if flag not in {"r", "w", "c", "n"}:
        raise ValueError(f"flag is one of r, w, c, n, not {flag!r}")
    if name == MemoryEngine.name:
        return MemoryEngine(**options)
    opened: Engine = __getattr__(_ENGINES[name]).open(path, flag=flag, **options)
    return opened


def engine_names() -> list[str]:
    """Return the names of the engines that `open` knows, the default first."""
    return [name for name, engine in _ENGINES.items() if _is_built(engine)] + [MemoryEngine.name]


def _remembered_engine(path: str | PathLike[str]) -> str | None:
    """Return the engine that a directory belongs to, or None if none is known; so in a tree that has but one."""
    if find_spec("kvs.catalog") is None:
        return None
    name: str | None = import_module("kvs.catalog").engine_in(path)
    return name


def _is_built(name: str) -> bool:
    """Tell whether this tree has the module that a name lives in; a course's tree may not have it yet."""
    room = _HOMES[name].rpartition(".")[0]
    return find_spec(room) is not None and find_spec(_HOMES[name]) is not None


def __dir__() -> Iterable[str]:
    return __all__
