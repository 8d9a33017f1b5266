"""What `support.crash_points` plays: a store's whole life, in 30 steps.

It begins with a store that was not closed and has a torn tail, so opening it is a recovery. Then come writes,
rotations, merges at command and by themselves, and a clean close.
"""

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from support.directory import segments
from support.history import History, Step, random_steps

from kvs import LogEngine

PREPARED_STEPS: Final = 12
STEPS: Final = 30
COMPACT_AFTER: Final = (16, 25)
SYNC_AFTER: Final = (20, 28)


def history() -> History:
    """Return the steps and states of the scenario: the same at every call, in every process."""
    return History(random_steps(random.Random(7), STEPS, keys=5, value_bytes=40))


def open_store(path: Path, sync: Any) -> LogEngine:
    """Open the store as the scenario does: small segments, early merges."""
    return LogEngine.open(path, sync=sync, segment_bytes=300, compact_dead_bytes=900, compact_dead_ratio=0.5)


def prepare(path: Path) -> None:
    """Make a store of the first steps, and end without closing it, in the middle of a write."""
    store = open_store(path, "always")
    for step in history().steps[:PREPARED_STEPS]:
        apply(store, step)
    with segments(path)[-1].open("r+b") as last:
        data = last.read().rstrip(b"\0")
        last.seek(len(data) + 8)  # behind zeros that may belong to the last record
        last.write(b"\x01\x00half a record")
    os._exit(0)


def act(path: Path, acknowledge: Callable[[int, bool], None], sync: str) -> None:
    """Play the remaining steps, telling how many were acknowledged, and which are known to be durable."""
    store = open_store(path, sync)
    for count, step in enumerate(history().steps[PREPARED_STEPS:], PREPARED_STEPS + 1):
        apply(store, step)
        if count in COMPACT_AFTER:
            store.compact()
        if count in SYNC_AFTER:
            store.sync()
        acknowledge(count, sync == "always" or count in SYNC_AFTER or count in COMPACT_AFTER)
    store.close()


def apply(store: LogEngine, step: Step) -> None:
    """Take one step."""
    key, value = step
    if value is None:
        store.remove(key)
    else:
        store.set(key, value)
