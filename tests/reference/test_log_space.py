"""Room on the disk: segments and their sizes, room allocated ahead, and what happens when there is none left."""

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import inside
import pytest
from log_disks import WatchedDisk
from support.directory import total_bytes

from kvs import LogEngine, StorageError
from kvs.log import segment as segment_room
from kvs.log.options import LogOptions, SyncMode
from kvs.log.segment import Segment

SECTOR_BYTES = 512
"""Frozen by the format."""


def sizes(path: Path) -> list[int]:
    """Return the data files' sizes, oldest first."""
    return [each.stat().st_size for each in sorted(path.glob("*.data"))]


def fill(store: LogEngine, count: int) -> None:
    """Store so many values of 1,000 bytes, one by one."""
    for number in range(count):
        store[b"%d" % number] = bytes(1_000)


def test_small_store_stays_small(scratch: Path) -> None:
    """Ten keys take at most 1 MiB while the store is open, and a few KB once it is closed."""
    with LogEngine.open(scratch) as store:
        for number in range(10):
            store[b"key%d" % number] = b"value" * 10
        assert total_bytes(scratch) <= 1 << 20
        assert store.stats().disk_bytes == sum(sizes(scratch))
    assert total_bytes(scratch) < 4_096


def test_segments_end_before_their_limit(scratch: Path) -> None:
    """No sealed segment is larger than the limit and a seal or two; a record larger than that gets one of its own."""
    with LogEngine.open(scratch, segment_bytes=1_000) as store:
        for number in range(100):
            store[b"%d" % number] = bytes(90)
        store[b"large"] = bytes(5_000)
        store[b"after"] = b""
        assert store.stats().segments == len(sizes(scratch))
    *full, large, last = sizes(scratch)
    assert len(full) == 13
    assert all(800 < size <= 1_000 + 48 for size in full[:-1])
    assert 5_000 < large < 5_200
    assert last < 200
    with LogEngine.open(scratch) as store:
        assert len(store) == 102


def test_a_batch_is_never_split(scratch: Path) -> None:
    """A batch goes whole into one segment, though the segment's limit be smaller."""
    with LogEngine.open(scratch, segment_bytes=500) as store:
        store[b"a"] = bytes(400)
        store.update({b"%d" % number: bytes(100) for number in range(50)})
        assert store.stats().segments == 2
    with LogEngine.open(scratch) as store:
        assert len(store) == 51


def test_room_doubles_up_to_a_bound(scratch: Path) -> None:
    """Room is taken in steps that double, but never more than 16 MiB ahead; so a large store seldom asks."""
    disk = WatchedDisk(scratch)
    with LogEngine(disk, LogOptions(sync="none")) as store:
        for number in range(40):
            store[b"%d" % number] = bytes(1_000_000)
            written = (number + 1) * 1_000_000
            assert sizes(scratch)[0] - written <= min(written + 65_536, segment_room.MAX_GROWTH_BYTES) + 65_536
        assert sum(step.startswith("grow") for step in disk.steps) <= 10


@pytest.mark.parametrize("spare", range(0, 60, 3))
def test_the_largest_segment_has_room_for_its_seal(scratch: Path, monkeypatch: pytest.MonkeyPatch, spare: int) -> None:
    """However few bytes a record leaves in the largest segment there may be, the seal finds its place."""
    limit = 4_096
    monkeypatch.setattr(segment_room, "FIRST_ROOM_BYTES", 512)
    monkeypatch.setattr(segment_room, "MAX_SEGMENT_BYTES", limit)
    with LogEngine.open(scratch, segment_bytes=limit, sync="none") as store:
        store[b"a"] = bytes(1_000)
        store[b"b"] = bytes(limit - 32 - 1_025 - 25 - spare)
        store[b"c"] = b"next"
    with LogEngine.open(scratch) as store:
        assert len(store) == 3


def test_sealed_length_is_never_that_of_room(scratch: Path) -> None:
    """A sealed file's length is no multiple of a room's unit, whatever its records; so zeros there are known as rot."""
    for value_bytes in range(segment_room.SECTOR_BYTES * 2 - 112, segment_room.SECTOR_BYTES * 2 - 96):
        path = scratch / str(value_bytes)
        with LogEngine.open(path, sync="none") as store:
            store[b"a"] = bytes(value_bytes)
        assert sizes(path)[0] % segment_room.SECTOR_BYTES
        with LogEngine.open(path, flag="r") as store:
            assert store.stats().recovery.was_clean
            assert store[b"a"] == bytes(value_bytes)


def test_reopening_goes_on_in_the_last_segment(scratch: Path) -> None:
    """A store that is opened, written to and closed many times has one segment, not one a time."""
    for number in range(20):
        with LogEngine.open(scratch) as store:
            store[b"%d" % number] = b"v"
    assert len(sizes(scratch)) == 1
    before = sizes(scratch)
    LogEngine.open(scratch).close()
    assert sizes(scratch) == before, "opening and closing alone writes nothing"


@pytest.mark.parametrize("mode", ["always", "none"])
@pytest.mark.parametrize("step", ["grow 0000000001.data", "create 0000000002.data"])
def test_full_disk_hurts_nothing_and_passes(scratch: Path, mode: SyncMode, step: str) -> None:
    """While the disk is full writes raise and change nothing; when there is room again, writing goes on."""
    disk = WatchedDisk(scratch)
    store = LogEngine(disk, LogOptions(sync=mode, segment_bytes=(1 << 20) if step[0] == "g" else 1_000))
    store[b"old"] = bytes(900)
    disk.fail(step, errno.ENOSPC, times=3)
    size = 200_000 if step[0] == "g" else 500
    writes: list[Callable[[], object]] = [
        lambda: store.set(b"new", bytes(size)), lambda: store.write([(b"new", bytes(size)), (b"old", None)])
    ]  # fmt: skip
    for write in writes:
        with pytest.raises(StorageError, match="No space left") as caught:
            write()
        assert caught.value.errno == errno.ENOSPC
        assert dict(store) == {b"old": bytes(900)}
    with pytest.raises(StorageError):
        store.set(b"old", bytes(size))
    store[b"new"] = bytes(size)
    assert dict(store) == {b"old": bytes(900), b"new": bytes(size)}
    store.close()
    with LogEngine.open(scratch) as again:
        assert again.stats().recovery.was_clean
        assert dict(again) == {b"old": bytes(900), b"new": bytes(size)}


def test_really_full_disk(scratch: Path) -> None:
    """Against a real limit of the system: writes raise when it is reached, reads go on, and later so do writes."""
    store = LogEngine.open(scratch, sync="none")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, hard))
    try:
        with pytest.raises(StorageError):
            fill(store, 1_000)
        written = len(store)
        assert 100 < written < 262
        assert sorted(store) == sorted(b"%d" % number for number in range(written))
        assert store[b"0"] == bytes(1_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    store[b"more"] = bytes(300_000)
    store.close()
    with LogEngine.open(scratch) as again:
        assert len(again) == written + 1


def test_disk_full_at_recovery_does_not_refuse_for_good(scratch: Path) -> None:
    """After a crash the seal needs new room: when there is none, a rotation raises, and succeeds once there is."""
    with LogEngine.open(scratch, sync="none") as store:
        store[b"a"] = bytes(500)
        data = inside.last_bytes(store)
    (scratch / "0000000001.data").write_bytes(data + bytes(-len(data) % 512))
    disk = WatchedDisk(scratch)
    store = LogEngine(disk, LogOptions(segment_bytes=600))
    disk.fail("grow", errno.ENOSPC)
    with pytest.raises(StorageError, match="No space left"):
        store[b"b"] = bytes(500)
    store[b"b"] = bytes(500)
    store.close()
    with LogEngine.open(scratch) as again:
        assert dict(again) == {b"a": bytes(500), b"b": bytes(500)}


def test_no_descriptors_left_hurts_nothing(scratch: Path) -> None:
    """When the process has no file descriptors left, a rotation raises, reads go on, and nothing written is lost."""
    with LogEngine.open(scratch, segment_bytes=1_000, sync="none") as store:
        store[b"a"] = bytes(900)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
        try:
            with pytest.raises(StorageError, match="Too many open files"):
                store[b"b"] = bytes(900)
            assert dict(store) == {b"a": bytes(900)}
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    with LogEngine.open(scratch) as store:
        store[b"b"] = bytes(900)
        assert dict(store) == {b"a": bytes(900), b"b": bytes(900)}


def test_segment_knows_its_path(scratch: Path) -> None:
    """A segment names its file, for messages."""
    with LogEngine.open(scratch) as store:
        store[b"a"] = b""
        [segment] = inside.segments(store)
        assert isinstance(segment, Segment)
        assert segment.path == f"{scratch}/0000000001.data"
