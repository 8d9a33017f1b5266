"""Pages: a walk over keys in order, as a row of questions that each get a bounded answer.

A server that answered with all keys at once would hold them all in memory, and so would we. So each question asks for
a page, and begins where the page before it ended. What is set or removed meanwhile, ahead of the walk, is seen or not
seen like at any other time: a walk over the wire is not of one moment.
"""

from dataclasses import dataclass, replace
from typing import Final

from kvs.keyorder import successor_of_prefix

FIRST_PAGE: Final = 16
LARGEST_PAGE: Final = 10_000
PAGE_BYTES: Final = 512 * 1024
"""About so much is asked for at once, once it is known how large the pairs are."""
_GROWTH: Final = 8
TOO_LARGE: Final = "the reply would be larger than"
"""What the server says of a page that it will not make, the values being what they are: smaller ones it will."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What is still to be walked.

    Args:
        start: the first key wanted.
        stop: the first one no longer wanted; empty for none such.
        is_reverse: the walk goes from the end to the beginning.
    """

    start: bytes
    stop: bytes
    is_reverse: bool = False

    def after(self, key: bytes) -> "Bounds | None":
        r"""Return what is still to be walked after this key, or None for nothing.

        >>> Bounds(b"a", b"").after(b"b")
        Bounds(start=b'b\x00', stop=b'', is_reverse=False)
        """
        if self.is_reverse:
            return replace(self, stop=key) if key > self.start else None
        start = key + b"\0"
        return None if self.stop and start >= self.stop else replace(self, start=start)


def bounds_of(start: bytes | None, stop: bytes | None, prefix: bytes | None, *, is_reverse: bool) -> Bounds | None:
    """Return the bounds of a scan, or None where no key can be within them.

    >>> bounds_of(None, b"c", b"b", is_reverse=False)
    Bounds(start=b'b', stop=b'c', is_reverse=False)
    """
    first, last = start or b"", stop
    if prefix:
        first = max(first, prefix)
        beyond = successor_of_prefix(prefix)
        last = beyond if last is None else last if beyond is None else min(last, beyond)
    return None if last is not None and last <= first else Bounds(first, last or b"", is_reverse)


def next_size(asked: int, found: int, found_bytes: int) -> int:
    """Return how many pairs to ask for after a page: up to 8 times as many, as long as it will not be too large.

    >>> next_size(16, 16, 16 * 100), next_size(512, 512, 512 * 10_000), next_size(16, 16, 16 * 10_000_000)
    (128, 52, 1)
    """
    fitting = PAGE_BYTES * found // max(found_bytes, 1)
    return max(1, min(asked * _GROWTH, LARGEST_PAGE, fitting))
