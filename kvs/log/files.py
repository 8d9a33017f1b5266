"""Names in a store's directory: which files are ours, and in which order history lies in them.

    LOCK                 held by the owner; names its process id
    ENGINE               the engine family and its format version: "log 1"
    0000000007.data      segment 7 as it was written
    0000000007-2.data    segment 7 after two merges; it may hold what were segments 3 to 7
    0000000007.hint      the keys of that segment, to open faster
    0000000007-2.tmp     a file being made; of no use after a crash

Every other name is somebody else's, and is never touched.
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple

LOCK: Final = "LOCK"
ENGINE: Final = "ENGINE"
ENGINE_TEMPORARY: Final = "ENGINE.tmp"

MAX_NUMBER: Final = 1 << 32  # a header has 32 bits for each of the two
_PATTERN: Final = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?\.(data|hint|tmp)", re.ASCII)


class SegmentName(NamedTuple):
    """A segment's number and how often it was merged. History runs in the order of these pairs.

    >>> SegmentName(9, 0) < SegmentName(10, 0) < SegmentName(10, 1)
    True
    >>> SegmentName(7, 2).data, SegmentName(7, 0).hint
    ('0000000007-2.data', '0000000007.hint')
    """

    id: int
    generation: int

    @property
    def stem(self) -> str:
        """The name without its ending. The number is padded for people; order never goes by text."""
        return f"{self.id:010d}-{self.generation}" if self.generation else f"{self.id:010d}"

    @property
    def data(self) -> str:
        """The name of the segment's own file."""
        return f"{self.stem}.data"

    @property
    def hint(self) -> str:
        """The name of its hint file."""
        return f"{self.stem}.hint"

    @property
    def temporary(self) -> str:
        """The name under which it is made, before it counts."""
        return f"{self.stem}.tmp"


def parse(name: str) -> tuple[SegmentName, str] | None:
    """Return the segment and the ending that a file name tells, or None for a foreign file.

    >>> parse("0000000007-2.hint"), parse("notes.data")
    ((SegmentName(id=7, generation=2), 'hint'), None)
    """
    match = _PATTERN.fullmatch(name)
    if match is None:
        return None
    segment = SegmentName(int(match[1]), int(match[2] or 0))
    is_ours = name == f"{segment.stem}.{match[3]}" and max(segment) < MAX_NUMBER
    return (segment, match[3]) if is_ours else None


def with_ending(names: Iterable[str], ending: str) -> list[SegmentName]:
    """Return the segments among these names that have a file with this ending, in the order of history."""
    parsed = (parse(name) for name in names)
    return sorted(found[0] for found in parsed if found is not None and found[1] == ending)


def age(name: str) -> tuple[int, int]:
    """Return a number by which the files of a store sort from old to new; those that are no segment's come first."""
    found = parse(name)
    return found[0] if found else (0, 0)


def ours(names: Iterable[str]) -> list[str]:
    """Return those names that belong to a log store, the lock apart."""
    return [name for name in names if name in {ENGINE, ENGINE_TEMPORARY} or parse(name) is not None]
