"""Tested: which engine the explorer and its companions open: "log", unless KVS_PROVED_ENGINE names another.

An engine that compacts in the background is opened in a form of its own: what comes by itself comes at the end of the
operation that made it due, in the same thread, so that a seed is enough to see a run again. And since writers go on
beside such a compaction, some do: at known steps of it.
"""

import os
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Final

from kvs.engine import Op
from kvs.lockfree.background import BackgroundCompactor
from kvs.lockfree.rwstore import RWLockEngine
from kvs.lockfree.store import LockFreeEngine
from kvs.log.compactor import Compactor
from kvs.log.disk import Disk
from kvs.log.options import LogOptions
from kvs.log.store import LogEngine

VARIABLE: Final = "KVS_PROVED_ENGINE"


class SettledCompactor(BackgroundCompactor):
    """A compactor that begins nothing by itself."""

    def run_if_due(self) -> None:
        """Leave it to `settle`."""

    def settle(self) -> None:
        """Compact if it is due, and nobody does already."""
        if not self._turn.locked():
            Compactor.run_if_due(self)


class SettledEngine(LockFreeEngine):
    """A LockFreeEngine without a thread of its own."""

    _compactor: SettledCompactor

    def _make_compactor(self) -> SettledCompactor:
        compactor = SettledCompactor(self._writer, self._options, self._lock, self._dir_lock)
        self._farewell = weakref.finalize(self, compactor.abandon)
        return compactor

    def set(self, key: bytes, value: bytes) -> None:
        """Set, then do what became due."""
        super().set(key, value)
        self._compactor.settle()

    def remove(self, key: bytes) -> None:
        """Remove, then do what became due."""
        super().remove(key)
        self._compactor.settle()

    def write(self, ops: Iterable[Op]) -> None:
        """Write, then do what became due."""
        super().write(ops)
        self._compactor.settle()


ENGINES: Final[dict[str, type[LogEngine]]] = {"log": LogEngine, "rwlock": RWLockEngine, "lockfree": LockFreeEngine}


def engine_class() -> type[LogEngine]:
    """Return the engine that is proved, as users have it."""
    return ENGINES[os.environ.get(VARIABLE, "log")]


def open_engine(disk: Disk, options: LogOptions, **named: Any) -> LogEngine:
    """Open a store with the engine that is proved, in a form without threads."""
    kind = engine_class()
    return (SettledEngine if kind is LockFreeEngine else kind)(disk, options, **named)


def compact(engine: LogEngine, number: int, write: Callable[[tuple[Op, ...]], None]) -> None:
    """Compact for the n-th time; beside an engine that lets others go on meanwhile, write something at known steps."""
    if not isinstance(engine, SettledEngine):
        engine.compact()
        return
    beside: list[tuple[Op, ...]] = [
        ((b"a", b"beside %d" % number),),
        ((b"b", b"beside %d" % number), (b"key-3", None)),
        ((b"k" * 24, bytes(40)),),
    ]

    def go_on(_done: int, _total: int) -> None:
        if beside:
            write(beside.pop(0))

    engine.compact(go_on)
