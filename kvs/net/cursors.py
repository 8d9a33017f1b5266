"""Cursors: the numbers that SCAN gives out, each standing for the key where the walk goes on.

A client takes a cursor for a 64-bit number, so the key itself cannot be in it. The walk is in key order: whatever is
there from its beginning to its end is met, once.
"""

import threading
from collections import OrderedDict
from typing import Final

_MOST_BYTES: Final = 4 * 1024 * 1024
_OVERHEAD_BYTES: Final = 200


class Cursors:
    """The cursors given out and not forgotten yet; the oldest are forgotten first.

    Threads: any; the lock guards everything.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys: OrderedDict[int, bytes] = OrderedDict()
        self._bytes = 0
        self._last = 0

    def make(self, key: bytes) -> int:
        """Return a new cursor for a walk that goes on behind this key."""
        with self._lock:
            self._last += 1
            self._keys[self._last] = key
            self._bytes += len(key) + _OVERHEAD_BYTES
            while self._bytes > _MOST_BYTES:
                _, oldest = self._keys.popitem(last=False)
                self._bytes -= len(oldest) + _OVERHEAD_BYTES
            return self._last

    def key(self, cursor: int) -> bytes | None:
        """Return the key behind which the walk of this cursor goes on, or None if it is not known (any more)."""
        with self._lock:
            return self._keys.get(cursor)
