"""Key order on demand: the sorted keys of a dict, kept up lazily.

A dict remembers the order in which keys came. So whoever wants them sorted can do all the work at the moment of
asking, and a point write pays nothing: keys that came since the last time stand at the dict's end, and keys that
went are found missing.
"""

from bisect import bisect_left
from itertools import islice
from typing import TypeVar

from kvs.engine import check_type

V = TypeVar("V")


class KeyOrder:
    """The sorted keys of one dict that only grows at its end and shrinks anywhere, as any dict does.

    Invariants:
        1. A list handed out is never changed afterwards, so a walk over it needs no lock.
        2. The caller says how many removals there have been in all; a key removed and set again stands at the
           dict's end, so the last (growth + removals) keys are all that can be new.

    Threads: none of its own; the engine's lock guards it.
    Cost: nothing while nothing is asked. A first call sorts, n log n; a later one sorts what is new and merges, n.
    """

    __slots__ = ("_keys", "_removals")

    def __init__(self) -> None:
        self._keys: list[bytes] = []
        self._removals = 0

    def keys(self, entries: dict[bytes, V], removals: int) -> list[bytes]:
        """Return the sorted keys of `entries`; do not change the list.

        Args:
            entries: the dict; always the same one.
            removals: how many keys have ever been removed from it.

        >>> entries, order = {b"b": 1, b"a": 2}, KeyOrder()
        >>> order.keys(entries, 0)
        [b'a', b'b']
        >>> entries[b"aa"] = 3; del entries[b"b"]
        >>> order.keys(entries, 1)
        [b'a', b'aa']
        """
        gone = removals - self._removals
        fresh = len(entries) - len(self._keys) + gone
        if not fresh and not gone:
            return self._keys
        newest_first = islice(reversed(entries), fresh)
        if gone:
            kept = {key for key in self._keys if key in entries}
            kept.update(newest_first)
            self._keys = sorted(kept)
        else:
            self._keys = [*self._keys, *sorted(newest_first)]
            self._keys.sort()  # two sorted runs: timsort merges them in one pass
        self._removals = removals
        return self._keys


def select_range(
    keys: list[bytes],
    start: bytes | None = None,
    stop: bytes | None = None,
    *,
    prefix: bytes | None = None,
    limit: int | None = None,
    reverse: bool = False,
) -> list[bytes]:
    """Return the keys of a sorted list that a scan with these bounds visits, in the order of the visit.

    >>> select_range([b"a", b"b1", b"b2", b"c"], prefix=b"b", reverse=True)
    [b'b2', b'b1']

    Raises:
        ValueError: the limit is negative.
    """
    for bound in (start, stop, prefix):
        if bound is not None:
            check_type(bound)
    if limit is not None and limit < 0:
        raise ValueError(f"a limit is 0 or more, not {limit}")
    if prefix:
        start = prefix if start is None else max(start, prefix)
        after = successor_of_prefix(prefix)
        if after is not None:
            stop = after if stop is None else min(stop, after)
    low = 0 if start is None else bisect_left(keys, start)
    high = len(keys) if stop is None else max(low, bisect_left(keys, stop))
    if limit is not None and high - low > limit:
        low, high = (high - limit, high) if reverse else (low, low + limit)
    chosen = keys[low:high]
    return chosen[::-1] if reverse else chosen


def successor_of_prefix(prefix: bytes) -> bytes | None:
    r"""Return the smallest key above all keys with this prefix, or None if there is none.

    >>> successor_of_prefix(b"ab"), successor_of_prefix(b"a\xff"), successor_of_prefix(b"\xff")
    (b'ac', b'b', None)
    """
    stem = prefix.rstrip(b"\xff")
    return stem[:-1] + bytes([stem[-1] + 1]) if stem else None
