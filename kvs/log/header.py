r"""Bytes <-> file header: what a segment says of itself before its first record.

Layout (little-endian, 32 bytes; frozen on disk):

    offset  size  field
    0       8     magic       89 6b 76 73 6c 6f 67 0a, "\x89kvslog\n"
    8       2     version     1
    10      2     reserved    0
    12      4     id          the segment's number, as in its name
    16      4     generation  0 as written; one more for each merge, as in its name
    20      4     first id    the lowest id whose records it holds; below `id` after a merge of several
    24      4     salt        random
    28      4     checksum    CRC-32 of all the above

The checksum does two jobs: it guards the header, and it is the seed of the checksums of all records that follow.
"""

from struct import Struct
from typing import Final, NamedTuple
from zlib import crc32

MAGIC: Final = b"\x89kvslog\n"
VERSION: Final = 1
LAYOUT: Final = Struct("<8sHHIIIII")
SIZE_BYTES: Final = 32

assert LAYOUT.size == SIZE_BYTES  # noqa: S101  # the layout above, held to the code


class SegmentHeader(NamedTuple):
    """The facts in a segment's header."""

    id: int
    generation: int
    first_id: int
    salt: int

    @property
    def seed(self) -> int:
        """What the checksums of the segment's records begin with."""
        return int.from_bytes(encode(self)[-4:], "little")


def encode(header: SegmentHeader) -> bytes:
    r"""Return the 32 bytes of a header.

    >>> encode(SegmentHeader(id=1, generation=0, first_id=1, salt=0)).hex(" ", -4)
    '896b7673 6c6f670a 01000000 01000000 00000000 01000000 00000000 21ba0772'
    """
    body = LAYOUT.pack(MAGIC, VERSION, 0, header.id, header.generation, header.first_id, header.salt, 0)[:-4]
    return body + crc32(body).to_bytes(4, "little")


def decode(data: bytes) -> SegmentHeader | None:
    """Return what the header says, or None where the bytes are not a sound header of any version."""
    if not has_sound_checksum(data):
        return None
    _, _, _, segment_id, generation, first_id, salt, _ = LAYOUT.unpack_from(data)
    return SegmentHeader(segment_id, generation, first_id, salt)


def has_sound_checksum(data: bytes) -> bool:
    """Tell whether these bytes begin with a header, of whatever version, that is as it was written."""
    return (
        len(data) >= SIZE_BYTES
        and data.startswith(MAGIC)
        and crc32(data[: SIZE_BYTES - 4]).to_bytes(4, "little") == data[SIZE_BYTES - 4 : SIZE_BYTES]
    )


def version_of(data: bytes) -> int:
    """Return the format version that a sound header names."""
    return int.from_bytes(data[8:10], "little")
