"""Make the store's measures small, so that a few dozen bytes exercise what takes megabytes in earnest.

A file's first room, the unit of its room, the size from which a hint is worth it, the buffer of a merge and the window
of a replay are measures of speed; none of them is a matter of correctness. Small ones let small stores have several
segments, hints and merges in several chunks, and a small store has few enough crash states to try them all.

The ticker of mode "interval" is taken out as well: who explores does its work by calling, at a known step.
"""

import contextlib
from collections.abc import Callable, Iterator
from typing import Final
from unittest import mock

from kvs.log import compaction, compactor, recovery, replay, segment, store, tail, writer


class NoTicker:
    """A ticker that never ticks."""

    def __init__(self, method: Callable[[], None], interval_s: float) -> None:
        del method, interval_s

    def stop(self) -> None:
        """Do nothing: it never ran."""


SMALL: Final[dict[str, object]] = {
    "FIRST_ROOM_BYTES": 192,
    "SECTOR_BYTES": 64,
    "HINT_WORTH_BYTES": 64,
    "BUFFER_BYTES": 100,
    "WINDOW_BYTES": 120,
    "Ticker": NoTicker,
}


@contextlib.contextmanager
def small_measures() -> Iterator[None]:
    """Work with small measures for a while, in every module that knows them."""
    unknown = set(SMALL)
    with contextlib.ExitStack() as stack:
        for module in (compaction, compactor, recovery, replay, segment, store, tail, writer):
            for name in SMALL.keys() & vars(module).keys():
                stack.enter_context(mock.patch.object(module, name, SMALL[name]))
                unknown.discard(name)
        assert not unknown, f"no module of the log has {unknown} any more"
        yield
