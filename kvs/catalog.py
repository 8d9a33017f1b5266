"""The catalog: engines and pools by name, and the engine that a directory remembers.

What is not built yet, as in a course's tree, is in no list, and is no error until somebody asks for it by name.
"""

import os
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

import kvs
from kvs.engines import files
from kvs.errors import StorageError
from kvs.log import marker
from kvs.log.disk import OsDisk

if TYPE_CHECKING:
    from kvs.pool.base import ThreadPool

_FAMILIES: Final = {"log": marker.FAMILY, "rwlock": marker.FAMILY, "lockfree": marker.FAMILY, "sqlite": files.FAMILY}
"""Each engine with the family of its format, as the ENGINE file names it. Engines of one family open each other's
directories."""

_POOLS: Final = {
    "shared-queue": ("kvs.pool.shared_queue", "SharedQueueThreadPool"),
    "naive": ("kvs.pool.naive", "NaiveThreadPool"),
    "executor": ("kvs.pool.executor", "ExecutorThreadPool"),
}
"""Pools with their homes, the default first."""


def engine_in(path: str | os.PathLike[str]) -> str | None:
    """Return the name of the engine that a directory belongs to; of a family, the one that is opened by default.

    None means that there is no store, or that no engine here can tell. Then the default engine is as good as any: it
    makes a store, or says what it found.
    """
    disk = OsDisk(path)
    try:
        names = disk.list()
        said = marker.read(disk, names)
    except StorageError:
        return None
    if said is not None:
        family = said[0]
    elif files.DATABASE in names:
        family = files.FAMILY  # its ENGINE file was lost
    else:
        return None
    return next((name for name in kvs.engine_names() if _FAMILIES.get(name) == family), None)


def pool_names() -> list[str]:
    """Return the names of the pools, the default first."""
    return [name for name, (home, _) in _POOLS.items() if find_spec("kvs.pool") and find_spec(home)]


def pool(name: str, threads: int) -> "ThreadPool":
    """Make a pool.

    Args:
        name: one of `pool_names()`.
        threads: how many jobs may run at the same time.

    Raises:
        ValueError: no such pool, or fewer than one thread.
    """
    if name not in pool_names():
        raise ValueError(f"no pool is called {name!r}; there are {', '.join(pool_names())}")
    home, kind = _POOLS[name]
    made: ThreadPool = getattr(import_module(home), kind)(threads)
    return made
