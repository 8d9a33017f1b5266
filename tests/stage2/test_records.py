"""Task 2.1: a record is a string of bytes that says how long its parts are, and whether it is whole."""

import random

import pytest
from support.directory import flipped

from kvs.log.record import TOMBSTONE, VALUE, Bad, Record, decode, encode

pytestmark = pytest.mark.task("2.1")

SEED = 0x5EED
PAIRS = [
    (b"", b""),
    (b"k", b""),
    (b"", b"v"),
    (b"key", b"value"),
    (b"line\nbreak", b"a\nb\r\n\n"),
    (b"\0", b"\0\0\0\0"),
    ("снеговик".encode(), "☃ snowman ☃".encode()),
    (b"k" * 65_535, b"v"),
    (b"key", b"v" * 70_000),
    (bytes(range(256)), bytes(range(255, -1, -1))),
]
"""Pairs of key and value that a careless layout mistakes for something else."""

pairs = pytest.mark.parametrize(("key", "value"), PAIRS, ids=range(len(PAIRS)))


@pairs
def test_record_comes_back_whole(key: bytes, value: bytes) -> None:
    """What is encoded is decoded: kind, key, value, sequence number and watermark."""
    record = decode(encode(VALUE, key, value, 7, 32, SEED), 0, SEED)
    assert isinstance(record, Record)
    assert (record.kind, record.sequence, record.watermark) == (VALUE, 7, 32)
    assert record.key == key
    assert record.value == value


@pairs
def test_record_is_read_at_its_offset(key: bytes, value: bytes) -> None:
    """A record is found at its offset, whatever stands before it and behind it."""
    data = encode(VALUE, key, value, 7, 32, SEED)
    record = decode(b"before" + data + data, 6, SEED)
    assert isinstance(record, Record)
    assert (record.key, record.value) == (key, value)


@pairs
def test_sizes_are_of_encoded_bytes(key: bytes, value: bytes) -> None:
    """A record grows by one byte for each byte of key and value, and its own part stays at 32 bytes or fewer."""
    empty = encode(VALUE, b"", b"", 7, 32, SEED)
    assert len(encode(VALUE, key, value, 7, 32, SEED)) == len(empty) + len(key) + len(value)
    assert len(empty) <= 32


def test_records_follow_each_other() -> None:
    """Records written one behind the other are read one behind the other."""
    records = [encode(VALUE, key, value, number + 1, 32, SEED) for number, (key, value) in enumerate(PAIRS)]
    data, offset = b"".join(records), 0
    for number, (key, value) in enumerate(PAIRS):
        record = decode(data, offset, SEED)
        assert isinstance(record, Record)
        assert (record.key, record.value, record.sequence) == (key, value, number + 1)
        offset += len(records[number])


def test_tombstone_is_a_kind_not_a_value() -> None:
    """A tombstone is told by its kind; a value that looks like one, or like a whole record, is a value."""
    tombstone = decode(encode(TOMBSTONE, b"key", b"", 9, 32, SEED), 0, SEED)
    assert isinstance(tombstone, Record)
    assert (tombstone.kind, tombstone.key) == (TOMBSTONE, b"key")
    lookalikes = [b"", b"\0", b"TOMBSTONE", b"None", bytes([TOMBSTONE]), encode(TOMBSTONE, b"key", b"", 9, 32, SEED)]
    for value in lookalikes:
        record = decode(encode(VALUE, b"key", value, 9, 32, SEED), 0, SEED)
        assert isinstance(record, Record)
        assert (record.kind, record.value) == (VALUE, value)


def test_large_numbers_fit() -> None:
    """Sequence numbers have 64 bits, watermarks 32, and sizes of 16 bits do not suffice for values."""
    record = decode(encode(VALUE, b"key", b"v" * 0x10000, 2**64 - 1, 2**32 - 1, 2**32 - 1), 0, 2**32 - 1)
    assert isinstance(record, Record)
    assert (len(record.value), record.sequence, record.watermark) == (0x10000, 2**64 - 1, 2**32 - 1)


@pytest.mark.parametrize("kind", [VALUE, TOMBSTONE], ids=["value", "tombstone"])
def test_every_flipped_bit_is_noticed(kind: int) -> None:
    """Whichever bit of a record is flipped, decoding says that it is bad: sizes, numbers, key, value, checksum."""
    data = encode(kind, b"key", b"value" if kind == VALUE else b"", 7, 32, SEED)
    for bit in range(8 * len(data)):
        found = decode(flipped(data, bit) + bytes(64), 0, SEED)
        assert isinstance(found, Bad), f"bit {bit % 8} of byte {bit // 8} was flipped, and {found} came out"


def test_every_cut_is_noticed() -> None:
    """A record that ends early is bad, at whichever byte it ends."""
    data = encode(VALUE, b"key", b"value", 7, 32, SEED)
    for size in range(len(data)):
        assert isinstance(decode(data[:size], 0, SEED), Bad), f"cut to {size} of {len(data)} bytes"
        assert isinstance(decode(b"xy" + data[:size], 2, SEED), Bad)


def test_zeros_are_no_record() -> None:
    """Zeros are no record, however many: a file may have room with nothing in it."""
    for size in (0, 1, 20, 24, 32, 64, 4096):
        assert isinstance(decode(bytes(size), 0, 0), Bad), f"{size} zeros were taken for a record"


def test_record_of_another_file_is_bad() -> None:
    """The seed enters the checksum: what was written with one is not valid with another."""
    data = encode(VALUE, b"key", b"value", 7, 32, SEED)
    assert isinstance(decode(data, 0, SEED + 1), Bad)
    assert isinstance(decode(data, 0, 0), Bad)


def test_random_bytes_are_no_record(rng: random.Random) -> None:
    """Whatever bytes decoding is given, it answers, and does not take noise for a record."""
    for _ in range(2_000):
        assert isinstance(decode(rng.randbytes(rng.randrange(80)), 0, SEED), Bad)
