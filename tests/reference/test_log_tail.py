"""Torn tail or rot: the watermark of a later record decides."""

import random

import pytest

from kvs.log.record import SEAL, VALUE, encode
from kvs.log.tail import find_witness

SEED = 42
BAD = b"\x01" + bytes(40)
AT = 1_000


def behind(watermark: int, sequence: int = 9, seed: int = SEED, kind: int = VALUE) -> bytes:
    """Return bad bytes at offset 1,000 with a sound record behind them."""
    value = b"value" if kind == VALUE else b""
    return BAD + encode(kind, b"", value, sequence, watermark, seed ^ (AT + len(BAD)))


def test_later_watermark_testifies() -> None:
    """A sound record behind the bad bytes, whose watermark lies above them, is a witness."""
    assert find_witness(behind(AT + 1), AT, SEED, 8) == AT + len(BAD)
    assert find_witness(behind(AT + len(BAD), kind=SEAL), AT, SEED, 8) == AT + len(BAD)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(behind(AT), id="watermark at the bad bytes: they were not durable"),
        pytest.param(behind(0), id="no watermark"),
        pytest.param(behind(AT + 1, sequence=8), id="a sequence not after the last good record's"),
        pytest.param(behind(AT + 1, seed=SEED + 1), id="a record of another file"),
        pytest.param(b"\x01" + behind(AT + 1), id="a record of this file in another place"),
        pytest.param(behind(AT + 1)[:-1], id="a record cut short"),
        pytest.param(behind(AT + 1)[: len(BAD) + 23], id="a header cut short"),
        pytest.param(behind(AT + 1)[:-1] + b"\0\0", id="a checksum that does not fit"),
        pytest.param(BAD, id="no record"),
        pytest.param(b"", id="nothing"),
    ],
)
def test_no_witness(data: bytes) -> None:
    """Without a sound, later record that says so, the bad bytes were promised to nobody: they are a torn tail."""
    assert find_witness(data, AT, SEED, 8) is None


def test_first_byte_is_not_looked_at() -> None:
    """The bad bytes cannot testify for themselves, even where they read like a record."""
    data = encode(VALUE, b"k", b"v", 9, AT + 1, SEED ^ AT)
    assert find_witness(data, AT, SEED, 8) is None


def test_witness_is_found_in_noise(rng: random.Random) -> None:
    """Whatever stands between, the witness is found."""
    for _ in range(100):
        noise = b"\x01" + bytes(rng.choice([0, 1, 2, 3, 255]) for _ in range(rng.randrange(200)))
        data = noise + encode(VALUE, b"k", b"v", 9, AT + 1, SEED ^ (AT + len(noise))) + noise
        assert find_witness(data, AT, SEED, 8) == AT + len(noise)
