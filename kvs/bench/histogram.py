"""Histogram: how long many operations took, counted in buckets that grow with what they hold."""

from collections.abc import Iterable
from itertools import pairwise
from typing import Final, Self

FINE_BITS: Final = 5
"""32 buckets for each doubling: what is read out is at most a thirty-second part too high."""


class Histogram:
    """Counts durations, in nanoseconds.

    Up to 63 ns each has a bucket of its own; above, a bucket is as wide as a thirty-second part of what it holds. So
    there are few buckets, and a percentile is equally exact for nanoseconds and for seconds.

    >>> times = Histogram.of([100] * 98 + [5_000, 1_000_000])
    >>> times.percentile(0.50), times.percentile(0.99), times.longest_ns
    (101, 5119, 1000000)
    """

    def __init__(self) -> None:
        self.count = 0
        self.longest_ns = 0
        self._buckets: dict[int, int] = {}

    @classmethod
    def of(cls, durations_ns: Iterable[int]) -> Self:
        """Return the histogram of some durations."""
        made = cls()
        for duration_ns in durations_ns:
            made.add(duration_ns)
        return made

    @classmethod
    def between(cls, stamps_ns: Iterable[int]) -> Self:
        """Return the histogram of the times from each reading of a clock to the next."""
        return cls.of(later - earlier for earlier, later in pairwise(stamps_ns))

    def add(self, duration_ns: int) -> None:
        """Count one duration."""
        bucket = bucket_of(duration_ns)
        self._buckets[bucket] = self._buckets.get(bucket, 0) + 1
        self.count += 1
        self.longest_ns = max(self.longest_ns, duration_ns)

    def merge(self, other: "Histogram") -> None:
        """Count what another has counted."""
        for bucket, count in other._buckets.items():  # noqa: SLF001  # another of this class
            self._buckets[bucket] = self._buckets.get(bucket, 0) + count
        self.count += other.count
        self.longest_ns = max(self.longest_ns, other.longest_ns)

    def percentile(self, share: float) -> int:
        """Return the duration that this share of all did not exceed, in nanoseconds; 0 where none were counted."""
        wanted = share * self.count
        for bucket in sorted(self._buckets):
            wanted -= self._buckets[bucket]
            if wanted <= 0:
                return min(top_of(bucket), self.longest_ns)
        return self.longest_ns


def bucket_of(duration_ns: int) -> int:
    """Return the number of the bucket that a duration belongs to.

    >>> [bucket_of(each) for each in (0, 63, 64, 65, 66, 1_000)]
    [0, 63, 64, 64, 65, 190]
    """
    shift = max(0, duration_ns.bit_length() - FINE_BITS - 1)
    return (shift << FINE_BITS) + (duration_ns >> shift)


def top_of(bucket: int) -> int:
    """Return the longest duration that belongs to a bucket.

    >>> top_of(63), top_of(64), top_of(190)
    (63, 65, 1007)
    """
    shift = max(0, (bucket >> FINE_BITS) - 1)
    return ((bucket - (shift << FINE_BITS) + 1) << shift) - 1
