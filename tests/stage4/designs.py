"""What stage 4's tests share: the three designs of locking, with the tasks that build them, and small stores."""

from pathlib import Path
from typing import Any

import pytest

import kvs

by_design = pytest.mark.parametrize(
    "engine",
    [
        pytest.param("log", marks=pytest.mark.task("4.1")),
        pytest.param("rwlock", marks=pytest.mark.task("4.2")),
        pytest.param("lockfree", marks=pytest.mark.task("4.3")),
    ],
)
"""One big lock, a readers-writer lock, and none for reads."""

BOUND_S = 5.0
"""Within this a reader has to finish beside somebody who stands still; it takes a few milliseconds."""
KEYS = [b"key%d" % number for number in range(10)]


def small_store(path: Path, engine: str = "lockfree", **options: Any) -> kvs.Engine:
    """Open a store of several small segments, ten keys and some dead bytes, which compacts when it is told to."""
    chosen = {"sync": "none", "segment_bytes": 1_000, "compact_dead_bytes": 1 << 40, **options}
    store = kvs.open(path, engine, **chosen)
    churn(store, b"old")
    return store


def churn(store: kvs.Engine, value: bytes) -> None:
    """Write every key twice, so that much is dead and each key ends with this value."""
    for said in (b"dead" * 20, value):
        for key in KEYS:
            store.set(key, said)
