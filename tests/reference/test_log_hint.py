"""Hints: they say what was written, or they are not believed; and never is a wrong one served."""

import random
import shutil
import struct
import sys
from pathlib import Path
from zlib import crc32

import pytest
from log_disks import WatchedDisk

from kvs import LogEngine
from kvs.log import hint
from kvs.log.hint import Hint
from kvs.log.keydir import pack
from kvs.log.options import LogOptions

SAID = Hint(1000, 24, 77, [b"key", b"", b"k" * 65_535], hint.places([pack(9, 32, 30), pack(9, 62, 24), 5]), [b"gone"])


def data_of(said: Hint, seed: int = 7) -> bytes:
    """Return a hint file's bytes."""
    return b"".join(hint.encode(said, seed))


def small() -> Hint:
    """Return a hint of few bytes."""
    return Hint(100, 24, 9, [b"key"], hint.places([pack(3, 32, 30)]), [b"gone"])


def test_frozen_bytes_do_not_change() -> None:
    """These bytes stand on disks: the fields in the format's order, then columns, then a CRC-32."""
    body = struct.pack("<8sIIIQII", b"\x89kvshnt\n", 7, 100, 24, 9, 1, 1)
    body += struct.pack("<QHH", 32 << 30 | 30, 3, 4) + b"keygone"
    assert data_of(small()) == body + struct.pack("<I", crc32(body))


@pytest.mark.parametrize("said", [SAID, Hint(32, 0, 0, [], hint.places([]), [])])
def test_a_hint_is_read_as_written(said: Hint) -> None:
    """Keys of any length, tombstones and numbers survive; the slot, which means nothing later, is left out."""
    found = hint.decode(data_of(said), 7)
    assert found == said
    assert hint.seed_of(data_of(said)) == 7
    assert [place >> 62 for place in said.places] == [0] * len(said.places)


def test_every_flipped_bit_is_noticed() -> None:
    """No single flipped bit leaves a hint that is believed, nor one that tells a seed."""
    data = data_of(small())
    for bit in range(len(data) * 8):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        assert hint.decode(bytes(damaged), 7) is None, f"bit {bit}"
        assert hint.seed_of(bytes(damaged)) is None, f"bit {bit}"


def test_every_cut_is_noticed() -> None:
    """A hint that lacks bytes is not believed; nor is an empty file."""
    data = data_of(small())
    for size in range(len(data)):
        assert hint.decode(data[:size], 7) is None, size
        assert hint.seed_of(data[:size]) is None, size


def test_sound_file_of_another_kind_is_no_hint() -> None:
    """A checksum that fits is not enough: the magic has to be a hint's, and the seed the segment's."""
    body = b"\x89kvslog\n" + data_of(small())[8:-4]
    other = body + struct.pack("<I", crc32(body))
    assert hint.decode(other, 7) is None
    assert hint.seed_of(other) is None
    assert hint.decode(data_of(small()), 8) is None


def test_columns_are_little_endian_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the machine counts from the other end, the columns are swapped on the way out and on the way in."""
    here = data_of(small())
    monkeypatch.setattr(sys, "byteorder", "big" if sys.byteorder == "little" else "little")
    there = data_of(small())
    assert there[36:48] == here[36:44][::-1] + here[44:46][::-1] + here[46:48][::-1]
    assert hint.decode(there, 7) == small()


@pytest.fixture
def hinted(scratch: Path, rng: random.Random) -> Path:
    """Return a closed store whose segments all have hints: keys overwritten, removed, and binary."""
    with LogEngine(WatchedDisk(scratch / "store"), LogOptions(segment_bytes=150_000, compact_dead_ratio=1)) as store:
        for number in range(800):
            store.set(b"key%d" % rng.randrange(200), rng.randbytes(500) + b"%d" % number)
            if number % 5 == 0:
                store.write([(b"key%d" % rng.randrange(200), None), (rng.randbytes(4), b"")])
    return scratch / "store"


def opened(path: Path) -> tuple[dict[bytes, bytes], int, int]:
    """Return what a store holds, how many hints were believed, and how many bytes are dead."""
    with LogEngine.open(path, flag="r") as store:
        facts = store.stats()
        return dict(store), facts.recovery.hints_used, facts.dead_bytes


def test_hints_say_what_the_records_say(hinted: Path) -> None:
    """A store opened by its hints holds, and counts as dead, exactly what it does when they are gone."""
    pairs, hints_used, dead_bytes = opened(hinted)
    hints = sorted(hinted.glob("*.hint"))
    assert hints_used == len(hints) >= 2
    for path in hints:
        path.unlink()
    assert opened(hinted) == (pairs, 0, dead_bytes)


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "other segment's", "stale"])
def test_a_wrong_hint_costs_time_only(hinted: Path, scratch: Path, damage: str) -> None:
    """A damaged, misplaced or stale hint is passed over: the same pairs come back, read from the records."""
    before = opened(hinted)
    first, second = sorted(hinted.glob("*.hint"))[:2]
    data = first.read_bytes()
    if damage == "flip":
        first.write_bytes(data[:60] + bytes([data[60] ^ 1]) + data[61:])
    elif damage == "cut":
        first.write_bytes(data[:-1])
    elif damage == "empty":
        first.write_bytes(b"")
    elif damage == "other segment's":
        shutil.copy(second, first)
    else:
        with LogEngine(WatchedDisk(scratch / "other", seed=2)) as other:
            other[b"big"] = bytes(100_000)
        shutil.copy(next((scratch / "other").glob("*.hint")), first)
    assert opened(hinted) == (before[0], before[1] - 1, before[2])
    with LogEngine.open(hinted):
        assert not first.exists(), "a writer takes away a hint that nobody will ever believe"
    assert opened(hinted)[0] == before[0]


def test_a_hint_that_covers_more_than_there_is_is_passed_over(hinted: Path) -> None:
    """A hint that speaks of bytes behind the end of its segment is not believed, however sound it is."""
    before = opened(hinted)
    path = min(hinted.glob("*.hint"))
    seed = hint.seed_of(path.read_bytes())
    assert seed is not None
    said = hint.decode(path.read_bytes(), seed)
    assert said is not None
    path.write_bytes(data_of(said._replace(covered=path.with_suffix(".data").stat().st_size + 1), seed))
    assert opened(hinted) == (before[0], before[1] - 1, before[2])


def test_records_behind_a_hint_count(scratch: Path) -> None:
    """What was written after the hint's seal is replayed on top: newer values win, tombstones remove."""
    with LogEngine.open(scratch) as store:
        store.update({b"a": bytes(40_000), b"b": bytes(40_000), b"c": b"3"})
    assert list(scratch.glob("*.hint"))
    with LogEngine.open(scratch) as store:
        store[b"a"] = b"new"
        del store[b"b"]
        store[b"d"] = b"4"
    pairs, hints_used, _ = opened(scratch)
    assert hints_used == 1
    assert pairs == {b"a": b"new", b"c": b"3", b"d": b"4"}
