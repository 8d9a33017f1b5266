r"""Bytes <-> record: the unit in which the log grows.

Layout (little-endian; frozen on disk as format version 1):

    offset  size  field
    0       1     kind        1 value, 2 tombstone, 3 seal
    1       1     flags       bit 0: more records of the same batch follow; the others are 0
    2       2     key size    bytes
    4       4     value size  bytes; 0 unless the kind is value
    8       8     sequence    orders history; every record's is higher than the one's before
    16      4     watermark   offset up to which this file was known to be fsynced when the record was written
    20      k     key
    20+k    v     value
    20+k+v  4     checksum    CRC-32 of all the above, begun with the file's seed xor the record's offset

The checksum stands last so that one call checks a record: a CRC-32 run over data *and* its own CRC always ends at
the same number, RESIDUE, whatever it began with. Beside a leading checksum, which needs a second slice or a
memoryview, that made checked reads 1.1 to 1.3 times as fast.

The file's seed is the checksum of its header, which holds a random salt. So a value that happens to look like a
record is never taken for one, nor a record of another file, nor one of this file that a disk has put elsewhere.
"""

import re
from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

from kvs.engine import MAX_VALUE_BYTES

HEADER: Final = Struct("<BBHIQI")
HEADER_BYTES: Final = 20
CHECKSUM_BYTES: Final = 4
ENVELOPE_BYTES: Final = HEADER_BYTES + CHECKSUM_BYTES
RESIDUE: Final = 0x2144DF1C
"""What crc32 gives for any bytes followed by their own little-endian CRC-32; a property of the polynomial."""

VALUE: Final = 1  # frozen on disk, as are all numbers here; 0 is no kind, so zeroed bytes are no record
TOMBSTONE: Final = 2
SEAL: Final = 3
MORE: Final = 1

START: Final = re.compile(rb"(?=[%c-%c][\x00-%c])" % (VALUE, SEAL, MORE), re.DOTALL)
"""Finds the places where the two bytes stand with which every record begins, for those who must look for one among
other bytes. It looks ahead without consuming: the byte before a record may be such a first byte, too."""

assert HEADER.size == HEADER_BYTES  # noqa: S101  # the layout above, held to the code
assert crc32(b"any" + crc32(b"any", 7).to_bytes(4, "little"), 7) == RESIDUE  # noqa: S101


class Record(NamedTuple):
    """One record, decoded."""

    kind: int
    has_more: bool
    key: bytes
    value: bytes
    sequence: int
    watermark: int

    @property
    def size_bytes(self) -> int:
        """How many bytes the record takes in its file."""
        return ENVELOPE_BYTES + len(self.key) + len(self.value)


class Bad(NamedTuple):
    """Bytes that are not a record: an outcome, not an error, for every log ends somewhere.

    Args:
        expected: what a record has there.
        found: what stands there instead.
    """

    expected: str
    found: str


def encode(
    kind: int, key: bytes, value: bytes, sequence: int, watermark: int, seed: int, *, has_more: bool = False
) -> bytes:
    r"""Return the bytes of one record. Its checksum begins with `seed`; in a file, that is the file's xor the offset.

    >>> encode(VALUE, b"k", b"v", 7, 32, 0).hex(" ", -4)
    '01000100 01000000 07000000 00000000 20000000 6b761491 3a68'
    """
    body = HEADER.pack(kind, has_more, len(key), len(value), sequence, watermark) + key + value
    return body + crc32(body, seed).to_bytes(CHECKSUM_BYTES, "little")


def decode(buffer: bytes, offset: int, seed: int) -> Record | Bad:
    r"""Read the record that begins at `offset` of the buffer, and whose checksum begins with `seed`.

    >>> decode(encode(VALUE, b"k", b"v", 7, 32, 0), 0, 0)
    Record(kind=1, has_more=False, key=b'k', value=b'v', sequence=7, watermark=32)
    >>> decode(encode(VALUE, b"k", b"v", 7, 32, 0), 0, 1).expected
    'a record whose checksum fits'
    """
    if len(buffer) - offset < ENVELOPE_BYTES:
        return Bad("a record", f"only {max(0, len(buffer) - offset)} bytes")
    kind, flags, key_size, value_size, sequence, watermark = HEADER.unpack_from(buffer, offset)
    if not is_plausible(kind, flags, key_size, value_size):
        return Bad("a record header", buffer[offset : offset + HEADER_BYTES].hex(" "))
    key_at = offset + HEADER_BYTES
    value_at = key_at + key_size
    value_stop = value_at + value_size
    stop = value_stop + CHECKSUM_BYTES
    if stop > len(buffer):
        return Bad(f"a record of {stop - offset} bytes", f"only {len(buffer) - offset} bytes")
    if crc32(buffer[offset:stop], seed) != RESIDUE:
        return Bad("a record whose checksum fits", f"checksum {buffer[value_stop:stop].hex()}")
    key, value = buffer[key_at:value_at], buffer[value_at:value_stop]
    return Record(kind, bool(flags & MORE), key, value, sequence, watermark)


def unpack(head: bytes) -> tuple[int, int, int, int, int, int]:
    """Return the fields of a header: kind, flags, key size, value size, sequence, watermark."""
    kind, flags, key_size, value_size, sequence, watermark = HEADER.unpack(head)
    return kind, flags, key_size, value_size, sequence, watermark


def stated_size(head: bytes) -> int:
    """Return how many bytes a record takes, if its header is to be believed.

    >>> stated_size(encode(VALUE, b"k", b"v", 7, 32, 0)[:HEADER_BYTES])
    26
    """
    _, _, key_size, value_size, _, _ = unpack(head)
    return ENVELOPE_BYTES + key_size + value_size


def is_plausible(kind: int, flags: int, key_size: int, value_size: int) -> bool:
    """Tell whether a header's fields can be those of a record; the checksum decides whether they are.

    >>> is_plausible(0, 0, 0, 0), is_plausible(TOMBSTONE, 0, 3, 0), is_plausible(TOMBSTONE, 0, 3, 1)
    (False, True, False)
    """
    if flags & ~MORE:
        return False
    if kind == VALUE:
        return value_size <= MAX_VALUE_BYTES
    return value_size == 0 and (kind == TOMBSTONE or (kind == SEAL and key_size == 0))
