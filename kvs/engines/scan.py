r"""A scan of a store that hands out pairs by the page: where it stands, and which keys it must not show.

The contract says that a scan shows the keys that were there when it began. The memory and the log engine note all of
them at the beginning. A store that is larger than memory cannot; so it is the writers who note, for each scan under
way, the keys that came after its beginning. Nobody scans: nothing is noted. Behind a scan, too, nothing is noted.

    scan of a b d, now behind a:   [a]  b   d
    somebody sets c:               [a]  b  (c)  d      c is new to this scan
    somebody removes b:            [a]      c   d      b is not found any more
    the next page:                              d

Threads: none of its own; the engine's lock guards it.
"""

from typing import Final

from kvs.engine import MAX_KEY_BYTES
from kvs.keyorder import select_range, successor_of_prefix

ABOVE_ALL_KEYS: Final = b"\xff" * (MAX_KEY_BYTES + 1)


class Scan:
    r"""One scan under way, over the keys from `low`, itself included, up to `high`.

    >>> scan = Scan(prefix=b"a")
    >>> scan.low, scan.high
    (b'a', b'b')
    >>> scan.take([(b"a", b"1")], is_last=False), scan.low
    ([(b'a', b'1')], b'a\x00')

    Args:
        start, stop, prefix, limit, reverse: as for Engine.scan.

    Raises:
        TypeError: a bound that is not bytes.
        ValueError: the limit is negative.
    """

    __slots__ = ("__weakref__", "_left", "_newcomers", "high", "is_over", "low", "reverse")

    def __init__(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        *,
        prefix: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> None:
        select_range([], start, stop, prefix=prefix, limit=limit)  # refuses what is no bound and no limit
        after = successor_of_prefix(prefix) if prefix else None
        self.low = max(start or b"", prefix or b"")
        self.high = min(ABOVE_ALL_KEYS if stop is None else stop, ABOVE_ALL_KEYS if after is None else after)
        self.reverse = reverse
        self.is_over = limit == 0
        self._left = limit
        self._newcomers: set[bytes] = set()

    def note(self, key: bytes) -> None:
        """Take note that this key is being set, and was not there."""
        if self.low <= key < self.high:
            self._newcomers.add(key)

    def take(self, rows: list[tuple[bytes, ...]], *, is_last: bool) -> list[tuple[bytes, ...]]:
        """Go on behind a page, and return those of its rows that the scan shows.

        Args:
            rows: the next rows that lie between `low` and `high`, in the scan's direction; each begins with its key.
            is_last: there were no more.
        """
        if rows:
            last = rows[-1][0]
            if self.reverse:
                self.high = last
            else:
                self.low = last + b"\0"  # no key lies between the two
        shown = [row for row in rows if row[0] not in self._newcomers] if self._newcomers else rows
        if self._left is not None:
            shown = shown[: self._left]
            self._left -= len(shown)
        self.is_over = is_last or self._left == 0
        return shown
