"""Task 2.5: the log is several files; one is written to, the rest are only read, and their order is by number."""

from pathlib import Path

import pytest
from support.directory import contents, segments

from kvs import LogEngine

pytestmark = pytest.mark.task("2.5")

SEGMENT_BYTES = 2048
NEVER = 1 << 40
"""As compact_dead_bytes: these tests are about segments that nobody merges."""


def open_small(path: Path) -> LogEngine:
    """Open a store with small segments, and without compaction."""
    return LogEngine.open(path, sync="none", segment_bytes=SEGMENT_BYTES, compact_dead_bytes=NEVER)


def test_log_is_split_into_segments(scratch: Path) -> None:
    """A segment that is full is followed by a new one: none grows beyond segment_bytes by more than a record."""
    with open_small(scratch) as store:
        for number in range(200):
            store.set(b"key%d" % number, bytes([number]) * 100)
    sizes = [path.stat().st_size for path in segments(scratch)]
    assert len(sizes) >= 200 * 100 // SEGMENT_BYTES
    assert max(sizes) <= SEGMENT_BYTES + 300
    with open_small(scratch) as store:
        assert dict(store) == {b"key%d" % number: bytes([number]) * 100 for number in range(200)}


def test_value_larger_than_a_segment_fits(scratch: Path) -> None:
    """A value that is larger than segment_bytes is stored all the same, and so is what follows it."""
    with open_small(scratch) as store:
        store.set(b"small", b"1")
        store.set(b"large", b"x" * (SEGMENT_BYTES * 5))
        store.set(b"after", b"2")
    with open_small(scratch) as store:
        assert dict(store) == {b"small": b"1", b"large": b"x" * (SEGMENT_BYTES * 5), b"after": b"2"}


def test_history_is_replayed_in_the_order_of_numbers(scratch: Path) -> None:
    """With more than ten segments, and more than a hundred, the last value counts: 10 comes after 9, not after 1."""
    number = 0
    for stop in (*range(1, 13), 50, 98, *range(99, 103), 120):
        with open_small(scratch) as store:
            while number < stop:
                number += 1
                store.set(b"key", b"%d" % number)
                store.set(b"filler%d" % (number % 3), b"f" * SEGMENT_BYTES)
        with open_small(scratch) as store:
            assert store.get(b"key") == b"%d" % number, f"with {len(segments(scratch))} segments"
    assert len(segments(scratch)) > 100


def test_removed_key_stays_removed_over_many_segments(scratch: Path) -> None:
    """A key that is set in the ninth segment and removed in a later one is not found."""
    with open_small(scratch) as store:
        for number in range(30):
            store.set(b"key%d" % number, b"v" * SEGMENT_BYTES)
        for number in range(0, 30, 2):
            store.remove(b"key%d" % number)
            store.set(b"filler", b"f" * SEGMENT_BYTES)
    with open_small(scratch) as store:
        assert sorted(key for key in store if key != b"filler") == sorted(b"key%d" % n for n in range(1, 30, 2))


def test_numbers_increase(scratch: Path) -> None:
    """Each new segment has a higher number than all before it, after a reopen too."""
    seen: list[str] = []
    for number in range(12):
        with open_small(scratch) as store:
            store.set(b"key%d" % number, b"v" * SEGMENT_BYTES)
        names = [path.name for path in segments(scratch)]
        assert names[: len(seen)] == seen, "new segments come last, and old ones keep their names"
        seen = names
    assert len(seen) >= 12


def test_full_segments_do_not_change(scratch: Path) -> None:
    """What is in a full segment stays as it is to the byte, whatever is written later."""
    with open_small(scratch) as store:
        for number in range(60):
            store.set(b"key%d" % number, bytes(100))
    last = segments(scratch)[-1].name
    before = {name: data for name, data in contents(scratch).items() if name.endswith(".data") and name != last}
    assert len(before) > 1
    with open_small(scratch) as store:
        for number in range(0, 60, 2):
            store.set(b"key%d" % number, b"new")
            store.remove(b"key%d" % (number + 1))
    after = contents(scratch)
    assert {name: after[name] for name in before} == before
