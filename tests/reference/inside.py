"""What white-box tests see inside a LogEngine: the one place that knows its private names."""

import threading
from typing import Any

import pytest

from kvs import LogEngine
from kvs.log.keydir import Keydir
from kvs.log.segment import Segment


def segments(store: LogEngine) -> list[Segment]:
    """Return the segments of an open store, in the order of history."""
    return store._writer.segments


def last_bytes(store: LogEngine) -> bytes:
    """Return the written bytes of the last segment, without the room behind them."""
    last = segments(store)[-1]
    return last.memory[: last.end]


def keydir(store: LogEngine) -> Keydir:
    """Return the index, with its account of dead bytes."""
    return store._keydir


def waiting(store: LogEngine) -> int:
    """Return how many writers wait for their turn."""
    return len(store._turns.waiting)


def seal_last(store: LogEngine) -> None:
    """Seal the active segment, as a rotation does."""
    store._writer.seal()


def merge_one(store: LogEngine, index: int) -> None:
    """Merge one segment alone, whatever a plan would choose."""
    store._compactor._merge(store._writer.segments[index : index + 1], lambda _done, _total: None)


def lock(store: LogEngine) -> "threading.Lock":
    """Return the one big lock."""
    return store._lock


def interrupt_once(store: LogEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ctrl-C come once, between a write's going into the log and its going into the index."""
    writer = store._writer
    real, calls = writer._point_at, list[int]()

    def interrupted(written: Any) -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt
        real(written)

    monkeypatch.setattr(writer, "_point_at", interrupted)


def tick(store: LogEngine) -> None:
    """Do what the ticker does in mode "interval"."""
    store._sync_now_and_then()


def mark_closed(store: LogEngine, *, is_closed: bool) -> None:
    """Mark a store as close() does before it waits for the lock; or take that back."""
    store._is_closed = store._writer._is_closed = is_closed
    store._writer.active = None
