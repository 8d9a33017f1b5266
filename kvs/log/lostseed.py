"""The seed of a segment whose header is gone, computed back from its records.

A CRC can be run backwards: from the number it ended with, and the bytes, follows the number it began with. A sound
record with its checksum always ends at RESIDUE; so each record tells the seed of its file, and two neighbours that
tell the same one are no accident.
"""

from typing import Final
from zlib import crc32

from kvs.log.record import HEADER_BYTES, RESIDUE, START, is_plausible, stated_size, unpack

MAX_RECORD_BYTES: Final = 1 << 20
"""Longer records are not tried: the way back is taken byte by byte."""
MAX_TRIES: Final = 10_000

_ALL_ONES: Final = 0xFFFFFFFF
_TABLE: Final = [crc32(bytes([byte]), _ALL_ONES) ^ _ALL_ONES for byte in range(256)]
_INDEX_OF_TOP: Final = {entry >> 24: index for index, entry in enumerate(_TABLE)}


def find_seed(data: bytes) -> int | None:
    """Return the seed with which two neighbouring records in these bytes check out, or None.

    Args:
        data: the bytes of a data file, from its first on.
    """
    for tries, match in enumerate(START.finditer(data)):
        if tries == MAX_TRIES:
            break
        stop = _stop_of_record(data, match.start())
        if stop is None or stop - match.start() > MAX_RECORD_BYTES:
            continue
        neighbour_stop = _stop_of_record(data, stop)
        if neighbour_stop is None:
            continue
        seed = begin_of_crc(data[match.start() : stop], RESIDUE) ^ match.start()
        if crc32(data[stop:neighbour_stop], seed ^ stop) == RESIDUE:
            return seed
    return None


def begin_of_crc(data: bytes, end: int) -> int:
    """Return the number with which a CRC-32 over these bytes must begin to end with that one.

    >>> begin_of_crc(b"any bytes", crc32(b"any bytes", 12345))
    12345
    """
    state = end ^ _ALL_ONES
    for byte in reversed(data):
        index = _INDEX_OF_TOP[state >> 24]
        state = ((state ^ _TABLE[index]) << 8 | index ^ byte) & _ALL_ONES
    return state ^ _ALL_ONES


def _stop_of_record(data: bytes, start: int) -> int | None:
    """Return where the record ends whose header seems to stand here, or None if none does."""
    head = data[start : start + HEADER_BYTES]
    if len(head) < HEADER_BYTES:
        return None
    kind, flags, key_size, value_size, _, _ = unpack(head)
    stop = start + stated_size(head)
    return stop if is_plausible(kind, flags, key_size, value_size) and stop <= len(data) else None
