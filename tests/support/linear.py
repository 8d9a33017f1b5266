"""Linear: was a history of reads and writes, made by many threads at once, possible one operation after the other?

A register is one thing that is written and read as a whole: a key, or several keys that are only ever written together,
in one batch. A history is linearizable when every operation can be given an instant between its begin and its end, so
that each read returns what the last write before it wrote. Each register can be looked at alone.

Versions are unique numbers; None is "not there". Times are of one clock for all threads; what ended before another
began came before it, and only that is known.

Source: Herlihy and Wing, Linearizability (1990); zones: Gibbons and Korach, Testing Shared Memories (1997).
"""

import heapq
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from itertools import pairwise
from operator import itemgetter
from typing import Final, NamedTuple

NEVER: Final = -1
"""A time before all others."""


class Operation(NamedTuple):
    """A write of a version, or a read that returned it, between two instants."""

    begin: int
    end: int
    version: int | None


def fault_of_shared(writes: Sequence[Operation], reads: Sequence[Operation]) -> str | None:
    """Return what is wrong with a register that anybody writes, or None. It is not there at first, and never removed.

    A version's operations are its write and the reads that returned it. They have to stand in one row, with no other
    version between. Its zone reaches from the first end among them to the last begin. If it runs forward, the version
    was the present one all through the zone; if backward, at some instant in it, which may be chosen. So:

        1. No read ends before its version's write begins.
        2. No two forward zones overlap.
        3. No backward zone lies within a forward one.

    Gibbons and Korach show that this is enough. Cost: n log n.
    """
    first_end: dict[int | None, int] = {None: NEVER}
    last_begin: dict[int | None, int] = {None: NEVER}
    began: dict[int | None, int] = {None: NEVER}
    for begin, end, version in writes:
        began[version] = last_begin[version] = begin
        first_end[version] = end
    for begin, end, version in reads:
        if version not in began:
            return f"{version} was read and never written"
        if end < began[version]:
            return f"{version} was read before it was written"
        first_end[version] = min(first_end[version], end)
        last_begin[version] = max(last_begin[version], begin)
    zones = [(first_end[version], last_begin[version], version) for version in began]
    forward = sorted((zone for zone in zones if zone[0] < zone[1]), key=itemgetter(0))
    for (_, stop, one), (start, _, other) in pairwise(forward):
        if start < stop:
            return f"{one} and {other} were each read after the other"
    starts = [start for start, _, _ in forward]
    for stop, start, version in zones:
        if start <= stop:
            around = bisect_left(starts, start) - 1
            if around >= 0 and stop < forward[around][1]:
                return f"{version} was there while only {forward[around][2]} can have been"
    return None


def fault_of_owned(writes: Sequence[Operation], reads: Sequence[Operation]) -> str | None:
    """Return what is wrong with a register that one thread writes, or None. It is not there at first; None removes it.

    Its writes stand in a known order. So each read only has to be given one of them: not one that was replaced before
    the read began, nor one that began after it ended, nor an older one than a read before it was given. "Not there" may
    stand for any removal: then the oldest possible is best, for it leaves most to the reads that follow.

    Args:
        writes: in the order in which they were made.
        reads: in any.

    Cost: n log n.
    """
    begins, ends = [write.begin for write in writes], [write.end for write in writes]
    place: dict[int | None, int] = {write.version: index for index, write in enumerate(writes, 1)}
    absent = [0, *(index for index, write in enumerate(writes, 1) if write.version is None)]
    floor, under_way = 0, list[tuple[int, int]]()  # reads by their ends, with what they were given
    for begin, end, version in sorted(reads, key=itemgetter(0)):
        while under_way and under_way[0][0] < begin:
            floor = max(floor, heapq.heappop(under_way)[1])
        low = max(floor, bisect_left(ends, begin))
        high = bisect_right(begins, end)
        if version is None:
            given = next(iter(absent[bisect_left(absent, low) :][:1]), high + 1)
        elif version in place:
            given = place[version]
        else:
            return f"{version} was read and never written"
        if given > high:
            return f"{'nothing' if version is None else version} was read too early"
        if given < low:
            return f"{version} was read when it was no longer there"
        heapq.heappush(under_way, (end, given))
    return None


def is_possible(writes: Sequence[Operation], reads: Sequence[Operation]) -> bool:
    """Tell by trying every order whether a small history is linearizable: what the others must agree with."""

    def can_go_on(present: int | None, left: frozenset[tuple[bool, int]]) -> bool:
        if not left:
            return True
        every = {key: (reads if key[0] else writes)[key[1]] for key in left}
        first_end = min(operation.end for operation in every.values())
        return any(
            operation.begin <= first_end
            and (not key[0] or operation.version == present)
            and can_go_on(present if key[0] else operation.version, left - {key})
            for key, operation in every.items()
        )

    ids = [(False, index) for index in range(len(writes))] + [(True, index) for index in range(len(reads))]
    return can_go_on(None, frozenset(ids))
