"""The segment's header by the byte: every field, every flipped bit, and the versions of the future."""

import struct
from pathlib import Path
from zlib import crc32

import pytest
from log_disks import WatchedDisk

from kvs.errors import CorruptRecordError, UnsupportedFormatError
from kvs.log import header
from kvs.log.files import SegmentName
from kvs.log.header import SegmentHeader
from kvs.log.segment import Segment, read_header

HEAD = SegmentHeader(id=0x01020304, generation=5, first_id=0x01020300, salt=0xDEADBEEF)


def of_version(version: int) -> bytes:
    """Return a sound header of a format version."""
    body = struct.pack("<8sHHIIII", b"\x89kvslog\n", version, 0, 1, 0, 1, 7)
    return body + struct.pack("<I", crc32(body))


def test_frozen_bytes_do_not_change() -> None:
    """These 32 bytes stand on disks."""
    data = header.encode(HEAD)
    assert data[:28].hex(" ", 4) == "896b7673 6c6f670a 01000000 04030201 05000000 00030201 efbeadde"
    assert data[28:] == struct.pack("<I", crc32(data[:28]))
    assert header.decode(data) == HEAD
    assert header.encode(SegmentHeader(1, 0, 1, 7)) == of_version(1)


def test_seed_is_the_checksum() -> None:
    """Records begin their checksums with that of the header, so each salt and each number has its own seed."""
    assert HEAD.seed == int.from_bytes(header.encode(HEAD)[28:], "little")
    others = [HEAD._replace(salt=1), HEAD._replace(id=7), HEAD._replace(generation=0), HEAD._replace(first_id=1)]
    assert len({each.seed for each in [HEAD, *others]}) == 5


def test_every_flipped_bit_is_noticed() -> None:
    """No single flipped bit leaves a sound header, not even one of another version."""
    data = header.encode(HEAD)
    for bit in range(256):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert not header.has_sound_checksum(bytes(damaged)), f"bit {bit}"
        assert header.decode(bytes(damaged)) is None, f"bit {bit}"


@pytest.mark.parametrize("size", [0, 1, 8, 31])
def test_short_header_is_none(size: int) -> None:
    """A header that lacks bytes is none."""
    assert header.decode(header.encode(HEAD)[:size]) is None


def test_what_follows_does_not_matter() -> None:
    """A header is read from the front of a file, whatever comes behind it."""
    assert header.decode(header.encode(HEAD) + b"records") == HEAD


@pytest.mark.parametrize("version", [0, 2, 65_535])
def test_other_version_is_refused_and_named(tmp_path: Path, version: int) -> None:
    """A sound header of another format version is refused with that version's number, and is not called damaged."""
    (tmp_path / "0000000001.data").write_bytes(of_version(version))
    with pytest.raises(UnsupportedFormatError, match=f"version {version};"):
        Segment.open(WatchedDisk(tmp_path), SegmentName(1, 0), 0)


def test_header_of_another_file_is_refused(tmp_path: Path) -> None:
    """A segment under another's name is damage: the header says whose it is."""
    disk = WatchedDisk(tmp_path)
    for wrong in (SegmentName(2, 0), SegmentName(1, 1)):
        with pytest.raises(CorruptRecordError, match=r"that of 0000000001\.data"):
            read_header(disk, wrong, of_version(1))
    with pytest.raises(CorruptRecordError, match="found nothing"):
        read_header(disk, SegmentName(1, 0), b"")
