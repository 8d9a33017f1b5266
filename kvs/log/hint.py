r"""Bytes <-> hint: the keys of a segment and where their records lie, so that opening need not read the values.

A hint is believed only if its checksum fits and it names the very segment beside it; a wrong, stale or missing hint
costs time, never correctness. It stands in columns, since a dict built from columns fills twice as fast as one
built row by row.

Layout (little-endian):

    offset  size   field
    0       8      magic        89 6b 76 73 68 6e 74 0a, "\x89kvshnt\n"
    8       4      seed         checksum of the segment's header: which segment this speaks of
    12      4      covered      offset up to which it speaks; what lies behind must be read
    16      4      seal bytes   of the covered bytes, what the seals take
    20      8      sequence     the highest sequence among the covered records
    28      4      n            keys with a value
    32      4      t            keys whose last record is a tombstone
    36      8n     places       offset << 30 | record size, of each value
    ..      2(n+t) key sizes    of the n keys, then of the t
    ..      ..     keys         one after the other, in the same order
    ..      4      checksum     CRC-32 of all the above
"""

import sys
from array import array
from collections.abc import Iterable, Iterator
from itertools import accumulate, pairwise
from struct import Struct
from typing import Final, NamedTuple, TypeVar
from zlib import crc32

from kvs.log.keydir import SLOT_SHIFT

MAGIC: Final = b"\x89kvshnt\n"
LAYOUT: Final = Struct("<8sIIIQII")
PART_ROWS: Final = 8192
SIZE_BYTES: Final = 36
PLACE_MASK: Final = (1 << SLOT_SHIFT) - 1

Column = TypeVar("Column", list[bytes], "array[int]")

assert LAYOUT.size == SIZE_BYTES  # noqa: S101  # the layout above, held to the code


class Hint(NamedTuple):
    """What a hint file says.

    Args:
        covered: offset up to which it speaks.
        seal_bytes: what the seals before that take.
        sequence: the highest sequence number before that.
        keys: the keys that have a value in the segment.
        places: where, as a location with slot 0.
        removed: the keys that the segment removes.
    """

    covered: int
    seal_bytes: int
    sequence: int
    keys: list[bytes]
    places: "array[int]"
    removed: list[bytes]


def encode(hint: Hint, seed: int) -> Iterator[bytes]:
    """Return the bytes of a hint, in parts: small ones, since other threads wait while one is made."""
    checksum = 0
    for part in _columns(hint, seed):
        checksum = crc32(part, checksum)
        yield part
    yield checksum.to_bytes(4, "little")


def _columns(hint: Hint, seed: int) -> Iterator[bytes]:
    """Return the bytes before the checksum."""
    yield LAYOUT.pack(MAGIC, seed, hint.covered, hint.seal_bytes, hint.sequence, len(hint.keys), len(hint.removed))
    for places in _sliced(hint.places):
        yield _to_little(places)
    for names in (hint.keys, hint.removed):
        for some in _sliced(names):
            yield _to_little(array("H", map(len, some)))
    for names in (hint.keys, hint.removed):
        for some in _sliced(names):
            yield b"".join(some)


def _sliced(column: Column) -> Iterator[Column]:
    """Return a column in slices."""
    return (column[first : first + PART_ROWS] for first in range(0, len(column), PART_ROWS))


def decode(data: bytes, seed: int) -> Hint | None:
    """Return what the hint says, or None where it cannot be believed.

    >>> hint = Hint(100, 24, 9, [b"key"], places([5 << 62 | 32 << 30 | 30]), [b"gone"])
    >>> decode(b"".join(encode(hint, seed=7)), seed=7) == hint
    True
    >>> decode(b"".join(encode(hint, seed=7)), seed=8) is None
    True
    """
    if len(data) < SIZE_BYTES + 4 or crc32(data[:-4]).to_bytes(4, "little") != data[-4:]:
        return None
    magic, found_seed, covered, seal_bytes, sequence, n, t = LAYOUT.unpack_from(data)
    if magic != MAGIC or found_seed != seed:
        return None
    sizes_at = SIZE_BYTES + 8 * n
    keys_at = sizes_at + 2 * (n + t)
    column = _from_little("Q", data[SIZE_BYTES:sizes_at])
    bounds = accumulate(_from_little("H", data[sizes_at:keys_at]), initial=keys_at)
    names = [data[start:stop] for start, stop in pairwise(bounds)]
    return Hint(covered, seal_bytes, sequence, names[:n], column, names[n:])


def seed_of(data: bytes) -> int | None:
    """Return the seed of the segment that a sound hint speaks of; a damaged segment may have forgotten its own."""
    if len(data) < SIZE_BYTES + 4 or not data.startswith(MAGIC):
        return None
    seed = int.from_bytes(data[8:12], "little")
    return seed if decode(data, seed) is not None else None


def places(locations: Iterable[int]) -> "array[int]":
    """Return the column of places of these locations: a slot means nothing to the next process."""
    return array("Q", (location & PLACE_MASK for location in locations))


def _to_little(column: "array[int]") -> bytes:
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def _from_little(typecode: str, data: bytes) -> "array[int]":
    column = array(typecode, data)
    if sys.byteorder == "big":
        column.byteswap()
    return column
