"""When writes become durable: the three modes, what stats() says of it, and what a failed fsync means."""

import errno
import time
from collections.abc import Callable
from pathlib import Path

import inside
import pytest
from log_disks import WatchedDisk

from kvs import LogEngine, StorageError, WritesRefusedError
from kvs.log.options import LogOptions, SyncMode

ALWAYS = LogOptions(sync="always")
NONE = LogOptions(sync="none")
DEADLINE_S = 10


def file_syncs(disk: WatchedDisk) -> int:
    """Count how often a segment was synced."""
    return sum(step.startswith("sync 0") for step in disk.steps)


def set_and_sync(store: LogEngine, key: bytes, value: bytes) -> None:
    """Make a write durable, by whichever of the two steps does it in the store's mode."""
    store.set(key, value)
    store.sync()


def test_always_syncs_before_it_acknowledges(scratch: Path) -> None:
    """In mode "always" each write of one thread is one fsync, and nothing is unsynced when it returns."""
    disk = WatchedDisk(scratch)
    with LogEngine(disk, ALWAYS) as store:
        store[b"first"] = b""
        before = file_syncs(disk)
        writes: list[Callable[[], object]] = [
            lambda: store.set(b"a", b"1"), lambda: store.remove(b"a"), lambda: store.write([(b"b", b""), (b"c", b"")])
        ]  # fmt: skip
        for count, write in enumerate(writes, 1):
            write()
            assert file_syncs(disk) == before + count
            assert store.stats().unsynced_bytes == 0
        store.sync()
        assert file_syncs(disk) == before + 3, "there was nothing to sync"


def test_none_syncs_when_asked(scratch: Path) -> None:
    """In mode "none" only sync(), a rotation, a compaction and close() sync."""
    disk = WatchedDisk(scratch)
    with LogEngine(disk, NONE) as store:
        store[b"first"] = b""
        before = file_syncs(disk)
        for number in range(100):
            store[b"%d" % number] = b"value"
        assert file_syncs(disk) == before
        assert store.stats().unsynced_bytes > 100 * 24
        assert store.stats().last_sync is None
        store.sync()
        assert file_syncs(disk) == before + 1
        assert store.stats().unsynced_bytes == 0


def test_last_sync_is_told(scratch: Path) -> None:
    """stats().last_sync is None until an fsync, then the wall clock of the last one."""
    with LogEngine.open(scratch, sync="none") as store:
        assert store.stats().last_sync is None
        store[b"a"] = b"1"
        before = time.time()
        store.sync()
        first = store.stats().last_sync
        assert first is not None
        assert before - 0.1 <= first <= time.time() + 0.1
        store[b"a"] = b"2"
        assert store.stats().last_sync == first
        store.sync()
        assert (store.stats().last_sync or 0) >= first


@pytest.mark.timeout(30)
def test_interval_syncs_without_further_writes(scratch: Path) -> None:
    """In mode "interval" the last write becomes durable by itself, though nobody writes or asks any more."""
    with LogEngine.open(scratch, sync="interval", sync_interval_s=0.02) as store:
        for value in (b"1", b"2"):
            store[b"a"] = value
            until = time.monotonic() + DEADLINE_S
            while store.stats().unsynced_bytes and time.monotonic() < until:
                time.sleep(0.001)
            assert store.stats().unsynced_bytes == 0
            assert store.stats().last_sync is not None


def test_close_makes_all_durable(scratch: Path) -> None:
    """close() syncs what is left: the last step on the file is a sync behind its last change."""
    disk = WatchedDisk(scratch)
    with LogEngine(disk, NONE) as store:
        store[b"a"] = b"1"
    mine = [step for step in disk.steps if step.endswith(" 0000000001.data")]
    assert mine[-1] == "sync 0000000001.data"
    assert mine[-2].startswith(("truncate", "sync"))


@pytest.mark.parametrize("mode", ["always", "none", "interval"])
def test_after_a_failed_fsync_writes_are_refused_and_reads_go_on(scratch: Path, mode: SyncMode) -> None:
    """An fsync that fails raises; from then on every write is refused until reopening, while reads go on."""
    disk = WatchedDisk(scratch)
    store = LogEngine(disk, LogOptions(sync=mode, sync_interval_s=1_000))
    store[b"a"] = b"1"
    store.sync()
    disk.fail("sync 0000000001.data", errno.EIO)
    with pytest.raises(StorageError) as caught:
        set_and_sync(store, b"b", b"2")
    assert not isinstance(caught.value, WritesRefusedError)
    assert caught.value.errno == errno.EIO
    steps = len(disk.steps)
    writes: list[Callable[[], object]] = [
        lambda: store.set(b"c", b"3"), lambda: store.remove(b"a"), lambda: store.write([(b"c", b"3")]),
        store.compact, lambda: store.remove(b"none"),
    ]  # fmt: skip
    for write in writes:
        with pytest.raises(WritesRefusedError, match="takes no writes"):
            write()
    assert store[b"a"] == b"1"
    assert dict(store.scan())[b"a"] == b"1"
    assert store.stats().keys == len(store)
    store.close()
    assert disk.steps[steps:] == [], "a second fsync would call the lost pages a success"
    with LogEngine.open(scratch) as again:
        assert again[b"a"] == b"1"
        again[b"c"] = b"3"


def test_unsynced_sync_does_not_lie_after_a_failure(scratch: Path) -> None:
    """sync() after a failed fsync raises again, for what was written is still not known to be durable."""
    disk = WatchedDisk(scratch)
    store = LogEngine(disk, NONE)
    store[b"a"] = b"1"
    disk.fail("sync", errno.EIO)
    for error in (StorageError, WritesRefusedError):
        with pytest.raises(error):
            store.sync()
    store.close()


def test_interval_logs_a_failed_fsync(scratch: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When the fsync of an interval fails nobody waits for it: it is logged, and the next write is refused."""
    disk = WatchedDisk(scratch)
    store = LogEngine(disk, LogOptions(sync_interval_s=1_000))
    store[b"a"] = b"1"
    disk.fail("sync", errno.EIO)
    inside.tick(store)
    assert "writes are refused from now on" in caplog.text
    with pytest.raises(WritesRefusedError):
        store[b"a"] = b"2"
    inside.tick(store)
    store.close()


@pytest.mark.parametrize("step", ["sync 0000000001.data", "truncate 0000000001.data"])
def test_failed_seal_is_told_by_close(scratch: Path, step: str) -> None:
    """close() raises when the seal cannot be made durable; the store is closed and its directory free all the same."""
    disk = WatchedDisk(scratch)
    store = LogEngine(disk, NONE)
    store[b"a"] = b"1"
    disk.fail(step, errno.EIO)
    with pytest.raises(StorageError):
        store.close()
    store.close()
    with LogEngine.open(scratch) as again:
        assert dict(again) == {b"a": b"1"}


@pytest.mark.parametrize("step", ["sync 0000000002.data", "sync_dir"])
@pytest.mark.parametrize("mode", ["always", "none"])
def test_failed_fsync_of_a_new_segment_refuses(scratch: Path, step: str, mode: SyncMode) -> None:
    """A new segment whose header or name cannot be made durable takes no writes, and no second fsync is believed."""
    disk = WatchedDisk(scratch)
    store = LogEngine(disk, LogOptions(sync=mode, segment_bytes=100))
    store[b"a"] = bytes(60)
    disk.fail(step, errno.EIO)
    with pytest.raises(StorageError):
        store[b"b"] = bytes(60)
    with pytest.raises(WritesRefusedError):
        store[b"b"] = bytes(60)
    assert store[b"a"] == bytes(60)
    store.close()
    with LogEngine.open(scratch) as again:
        assert dict(again) == {b"a": bytes(60)}


def test_recovery_facts_are_told(scratch: Path) -> None:
    """stats().recovery tells of a clean opening, of records replayed, of hints used, and of a torn tail's bytes."""
    with LogEngine.open(scratch) as store:
        assert store.stats().recovery.was_clean
        store.update({b"%d" % number: bytes(1_000) for number in range(100)})
        assert store.stats().sequence == 100
    with LogEngine.open(scratch) as store:
        facts = store.stats().recovery
        assert (facts.was_clean, facts.hints_used, facts.records_replayed, facts.torn_bytes) == (True, 1, 0, 0)
        store[b"a"] = b"1"
    [path] = scratch.glob("*.hint")
    path.unlink()
    with LogEngine.open(scratch) as store:
        facts = store.stats().recovery
        assert (facts.was_clean, facts.hints_used, facts.torn_bytes) == (True, 0, 0)
        assert facts.records_replayed >= 103, "the hundred, a seal, one more, and a seal"
