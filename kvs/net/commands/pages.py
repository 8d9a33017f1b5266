"""Walks over keys in order, in pages: what SCAN and KVS.SCAN share."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice

from kvs.engine import Engine


@dataclass(frozen=True, slots=True)
class Range:
    """Which keys are wanted, in which order; as for `Engine.scan`.

    Args:
        start: the first key wanted, itself included.
        stop: the first key no longer wanted.
        prefix: only keys that begin with these bytes.
        is_reverse: from the last key to the first.
    """

    start: bytes | None = None
    stop: bytes | None = None
    prefix: bytes | None = None
    is_reverse: bool = False

    def after(self, key: bytes) -> "Range":
        r"""Return what is still wanted behind a key.

        >>> Range(b"a", b"c").after(b"b")
        Range(start=b'b\x00', stop=b'c', prefix=None, is_reverse=False)
        """
        return replace(self, stop=key) if self.is_reverse else replace(self, start=key + b"\0")

    def scan(self, engine: Engine, limit: int | None = None) -> Iterator[tuple[bytes, bytes]]:
        """Walk these keys of an engine, with their values."""
        return engine.scan(self.start, self.stop, prefix=self.prefix, limit=limit, reverse=self.is_reverse)


def page(engine: Engine, wanted: Range, limit: int) -> Iterator[tuple[bytes, bytes]]:
    """Yield the first so many pairs of a range; fewer only if there are no more, so that a short page is the last.

    An engine's own limit does not promise that: it counts the keys at the beginning of the walk, and leaves out those
    that are removed before the walk reaches them.
    """
    count = 0
    for pair in wanted.scan(engine, limit):
        yield pair
        count += 1
        wanted = wanted.after(pair[0])
    if count < limit:  # the end, nearly always, and then nothing is left to be walked here
        yield from islice(wanted.scan(engine), limit - count)
