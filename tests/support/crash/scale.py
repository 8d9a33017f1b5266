"""Make the store's measures small, so that a few dozen bytes exercise what takes megabytes in earnest.

A file's first room, the size from which a hint is worth it, the buffer of a merge and the window of a replay are
measures of speed; none of them is a matter of correctness. Small ones let small stores have several segments, hints
and merges in several chunks, and a small store has few enough crash states to try them all.

The ticker of mode "interval" is taken out as well: who explores does its work by calling, at a known step.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

from kvs.log import compaction, replay, segment, store


class NoTicker:
    """A ticker that never ticks."""

    def __init__(self, method: Callable[[], None], interval_s: float) -> None:
        del method, interval_s

    def stop(self) -> None:
        """Do nothing: it never ran."""


@contextlib.contextmanager
def small_measures(room_bytes: int = 192) -> Iterator[None]:
    """Work with small measures for a while."""
    small: list[tuple[Any, str, Any]] = [
        (segment, "FIRST_ROOM_BYTES", room_bytes),
        (store, "FIRST_ROOM_BYTES", room_bytes),
        (store, "HINT_WORTH_BYTES", 64),
        (compaction, "BUFFER_BYTES", 100),
        (replay, "WINDOW_BYTES", 120),
        (store, "Ticker", NoTicker),
    ]
    with contextlib.ExitStack() as stack:
        for module, name, value in small:
            stack.enter_context(mock.patch.object(module, name, value))
        yield
