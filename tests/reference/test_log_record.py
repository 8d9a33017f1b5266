"""Records by the byte: every field where the format puts it, every limit, and no flipped bit that passes."""

import random
import struct
from zlib import crc32

import pytest

from kvs.engine import MAX_KEY_BYTES, MAX_VALUE_BYTES
from kvs.log import record
from kvs.log.record import SEAL, TOMBSTONE, VALUE, Bad, Record, decode, encode

SEED = 0x5EED5EED


def by_hand(kind: int, flags: int, key: bytes, value: bytes, numbers: tuple[int, int]) -> bytes:
    """Return a record's bytes, made from the format's description alone."""
    body = struct.pack("<BBHIQI", kind, flags, len(key), len(value), *numbers) + key + value
    return body + struct.pack("<I", crc32(body, SEED))


@pytest.mark.parametrize("kind", [VALUE, TOMBSTONE, SEAL])
@pytest.mark.parametrize("has_more", [False, True])
def test_bytes_are_those_of_the_format(kind: int, has_more: bool) -> None:
    """A record's bytes are the fields in the format's order, little-endian, and a CRC-32 over all of them."""
    key = b"" if kind == SEAL else b"key"
    value = b"value\n\0" if kind == VALUE else b""
    data = encode(kind, key, value, 0x0102030405060708, 0xA0B0C0D0, SEED, has_more=has_more)
    assert data == by_hand(kind, has_more, key, value, (0x0102030405060708, 0xA0B0C0D0))
    assert decode(data, 0, SEED) == Record(kind, has_more, key, value, 0x0102030405060708, 0xA0B0C0D0)


def test_frozen_bytes_do_not_change() -> None:
    """These bytes stand on disks: a tombstone in a batch, a seal, and the record of an empty key and value."""
    assert encode(TOMBSTONE, b"gone", b"", 300, 70_000, 1, has_more=True).hex() == (
        "02010400000000002c0100000000000070110100676f6e65972c92b0"
    )
    assert encode(SEAL, b"", b"", 9, 32, 2).hex() == "030000000000000009000000000000002000000064352957"
    assert encode(VALUE, b"", b"", 1, 32, 3).hex() == "0100000000000000010000000000000020000000500e8cfe"


@pytest.mark.parametrize(
    ("key_size", "value_size"), [(0, 0), (0, 1), (1, 0), (MAX_KEY_BYTES, 0), (MAX_KEY_BYTES, 70_000)]
)
def test_sizes_at_their_limits_survive(rng: random.Random, key_size: int, value_size: int) -> None:
    """Keys of 0 and of 65,535 bytes and values of 0 bytes are read as written, and the record knows its size."""
    key, value = rng.randbytes(key_size), rng.randbytes(value_size)
    data = b"before" + encode(VALUE, key, value, 1, 32, SEED) + b"behind"
    found = decode(data, 6, SEED)
    assert isinstance(found, Record)
    assert (found.key, found.value) == (key, value)
    assert found.size_bytes == len(data) - 12 == record.stated_size(data[6:26])


def test_every_flipped_bit_is_noticed() -> None:
    """No single flipped bit of a record leaves a record, whichever field it is in."""
    for data in (encode(VALUE, b"key", b"value", 7, 32, SEED), encode(TOMBSTONE, b"k", b"", 8, 32, SEED)):
        for bit in range(len(data) * 8):
            damaged = bytearray(data)
            damaged[bit // 8] ^= 1 << bit % 8
            assert isinstance(decode(bytes(damaged), 0, SEED), Bad), f"bit {bit}"
            assert isinstance(decode(bytes(damaged) + bytes(1 << 17), 0, SEED), Bad), f"bit {bit}, zeros behind"


def test_every_cut_is_noticed() -> None:
    """A record that lacks its last byte, or more, is none; the outcome says how many bytes are missing."""
    data = encode(VALUE, b"key", b"value", 7, 32, SEED)
    for size in range(len(data)):
        assert isinstance(decode(data[:size], 0, SEED), Bad), size
    assert decode(data[:-1], 0, SEED) == Bad("a record of 32 bytes", "only 31 bytes")
    assert decode(data[:5], 0, SEED) == Bad("a record", "only 5 bytes")
    assert decode(data, 99, SEED) == Bad("a record", "only 0 bytes")


def test_a_record_of_another_file_is_none() -> None:
    """A record's checksum begins with its file's seed, so that a copy elsewhere is not taken for a record."""
    data = encode(VALUE, b"key", b"value", 7, 32, SEED)
    assert decode(data, 0, SEED ^ 1) == Bad("a record whose checksum fits", f"checksum {data[-4:].hex()}")


def test_zeros_are_no_record() -> None:
    """Zeros mark the end of what was written: no run of them is a record, whatever the seed."""
    for seed in (0, 1, SEED, 0xFFFFFFFF):
        assert isinstance(decode(bytes(100), 0, seed), Bad)


@pytest.mark.parametrize(
    ("kind", "flags", "key_size", "value_size"),
    [
        (0, 0, 1, 1), (4, 0, 1, 1), (255, 0, 0, 0), (VALUE, 2, 1, 1), (VALUE, 128, 1, 1), (TOMBSTONE, 0, 1, 1),
        (SEAL, 0, 1, 0), (SEAL, 0, 0, 1), (VALUE, 0, 1, MAX_VALUE_BYTES + 1),
    ],
)  # fmt: skip
def test_what_no_writer_writes_is_refused(kind: int, flags: int, key_size: int, value_size: int) -> None:
    """An unknown kind or flag, a tombstone with a value, a seal with a key, a value beyond its limit: no record."""
    assert not record.is_plausible(kind, flags, key_size, value_size)
    body = record.HEADER.pack(kind, flags, key_size, value_size, 1, 32) + bytes(min(key_size + value_size, 10))
    data = body + crc32(body, SEED).to_bytes(4, "little")
    found = decode(data, 0, SEED)
    assert isinstance(found, Bad)
    assert found == Bad("a record header", data[:20].hex(" "))


def test_largest_value_is_only_too_long_for_the_bytes_there() -> None:
    """A header may state a value of exactly 512 MiB; one byte more is no header."""
    head = record.HEADER.pack(VALUE, 0, 0, MAX_VALUE_BYTES, 1, 32) + bytes(10)
    assert decode(head, 0, SEED) == Bad(f"a record of {MAX_VALUE_BYTES + 24} bytes", "only 30 bytes")


def test_start_finds_each_kind() -> None:
    """The two bytes that a record begins with are found for each kind, newlines near them or not."""
    for kind in (VALUE, TOMBSTONE, SEAL):
        for has_more in (False, True):
            data = b"\n\n" + encode(kind, b"", b"", 1, 32, SEED, has_more=has_more)
            match = record.START.search(data)
            assert match is not None
            assert match.start() == 2
