"""The seed of a lost header, computed back from the records."""

import random
from zlib import crc32

from kvs.log import lostseed
from kvs.log.lostseed import begin_of_crc, find_seed
from kvs.log.record import VALUE, encode

SEED = 0xC0FFEE11


def records(at: int, *values: bytes) -> bytes:
    """Return records of the file with this seed, side by side from an offset on."""
    data = b""
    for value in values:
        data += encode(VALUE, b"key", value, 1, 32, SEED ^ (at + len(data)))
    return data


def test_crc_runs_backwards(rng: random.Random) -> None:
    """From the bytes and the number a CRC ended with follows the number that it began with."""
    for _ in range(200):
        data, begin = rng.randbytes(rng.randrange(50)), rng.getrandbits(32)
        assert begin_of_crc(data, crc32(data, begin)) == begin


def test_two_neighbours_tell(rng: random.Random) -> None:
    """Two sound records side by side give their file's seed away, whatever damage lies before them."""
    for _ in range(50):
        noise = bytes(rng.choice([0, 1, 2, 3, 255]) for _ in range(rng.randrange(100)))
        pair = records(len(noise), rng.randbytes(50), rng.randbytes(5))
        assert find_seed(noise + pair) == SEED
        assert find_seed(noise + pair + noise) == SEED


def test_one_record_tells_nothing() -> None:
    """One record alone, with no neighbour to agree, could be any bytes: no seed is told."""
    one = records(0, b"value")
    for data in (one, one + b"\x01", one + bytes(50), one + one[:-1], b"", b"\x01", b"\x01\0" * 9, bytes(300)):
        assert find_seed(data) is None


def test_neighbours_of_two_files_tell_nothing() -> None:
    """Two records that do not agree on a seed are no pair."""
    assert find_seed(records(0, b"1") + encode(VALUE, b"b", b"2", 2, 32, SEED + 1)) is None
    assert find_seed(records(0, b"1") + records(0, b"2")) is None, "nor are two that stood at the same place"


def test_the_way_back_has_bounds() -> None:
    """Records too long to be worth it are passed over, and so many false starts end the search."""
    large = bytes(lostseed.MAX_RECORD_BYTES)
    assert find_seed(records(0, large, b"value")) is None
    assert find_seed(records(0, large, b"value", b"value")) == SEED
    noise = b"\x01\x01" * (lostseed.MAX_TRIES + 1)
    assert find_seed(noise + records(len(noise), b"value", b"value")) is None
