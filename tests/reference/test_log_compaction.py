"""Compaction: dead bytes go, live ones stay, nothing comes back; and the steps are taken in their order."""

import errno
import random
from pathlib import Path

import inside
import pytest
from log_disks import WatchedDisk
from support.directory import total_bytes

from kvs import CorruptRecordError, LogEngine, StorageError, WritesRefusedError
from kvs.log.compaction import Weight, plan
from kvs.log.options import LogOptions

MANUAL = LogOptions(sync="none", segment_bytes=1_000, compact_dead_bytes=1 << 40)


def names(path: Path, pattern: str = "*.data") -> list[str]:
    """Return the names of a store's files of a kind, sorted."""
    return sorted(each.name for each in path.glob(pattern))


def check_account(store: LogEngine) -> None:
    """Hold the account of live and dead bytes against the entries and the segments themselves."""
    live: dict[int, int] = {}
    for location in inside.keydir(store).entries.values():
        live[location >> 62] = live.get(location >> 62, 0) + (location & (1 << 30) - 1)
    for segment in inside.segments(store):
        assert inside.keydir(store).dead.get(segment.slot, 0) == segment.record_bytes - live.get(segment.slot, 0)
    assert store.stats().live_bytes == sum(live.values())
    assert store.stats().dead_bytes == sum(inside.keydir(store).dead.values())


@pytest.mark.parametrize(
    ("weights", "runs"),
    [
        ([], []),
        ([(60, 0)], []),
        ([(10, 0)], []),
        ([(10, 1)], [(0, 1)]),
        ([(0, 5)], [(0, 1)]),
        ([(10, 0), (10, 0)], [(0, 2)]),
        ([(60, 0), (10, 0), (10, 0), (60, 0)], [(1, 3)]),
        ([(60, 1), (60, 1)], [(0, 1), (1, 2)]),
        ([(40, 1), (40, 1), (40, 0), (40, 0)], [(0, 2), (2, 4)]),
        ([(50, 0), (49, 0), (50, 0)], []),
        ([(500, 1)], [(0, 1)]),
        ([(10, 5), (20, 0), (60, 0), (1, 0)], [(0, 2)]),
    ],
)
def test_plan(weights: list[tuple[int, int]], runs: list[tuple[int, int]]) -> None:
    """Neighbours are merged where something is dead or one file can be made of several; full clean ones stay."""
    found = plan([Weight(*weight) for weight in weights], segment_bytes=100)
    assert [(run.start, run.stop) for run in found] == runs


def test_nothing_to_compact(scratch: Path) -> None:
    """Compacting an empty store, or one without dead bytes, merges nothing, and may be done again and again."""
    with LogEngine.open(scratch) as store:
        for _ in range(3):
            store.compact()
        assert names(scratch) == []
        store[b"a"] = b"1"
        for _ in range(3):
            store.compact()
        assert (store.stats().merges, store.stats().segments) == (0, 1)
        assert dict(store) == {b"a": b"1"}


def test_everything_dead(scratch: Path) -> None:
    """When all is removed, a compaction leaves next to nothing on the disk, and nothing comes back."""
    with LogEngine(WatchedDisk(scratch), MANUAL) as store:
        for number in range(100):
            store[b"%d" % number] = bytes(50)
        store.clear()
        store.compact()
        assert (len(store), store.stats().live_bytes, store.stats().dead_bytes) == (0, 0, 0)
        assert total_bytes(scratch) < 400
        check_account(store)
        store[b"new"] = b"1"
    with LogEngine.open(scratch) as store:
        assert dict(store) == {b"new": b"1"}


def test_output_has_a_name_of_its_own(scratch: Path) -> None:
    """A merge takes the number of its last segment and the next generation, and never the name of an input."""
    with LogEngine(WatchedDisk(scratch), MANUAL) as store:
        for number in range(9):
            store[b"%d" % (number % 3)] = bytes(900)
        before = names(scratch)
        assert before == [f"{number:010d}.data" for number in range(1, 10)]
        store.compact()
        assert names(scratch) == ["0000000006-1.data", *before[6:]], "what is full and clean stays as it is"
        store[b"0"] = b"new"
        store.compact()
        assert names(scratch) == ["0000000007-1.data", *before[7:], "0000000010.data"]
        assert store.stats().segments == len(names(scratch))
        assert [name.replace(".data", ".hint") for name in names(scratch) if "-" in name] == names(scratch, "*.hint")
        assert names(scratch, "*.tmp") == []


def test_steps_are_taken_in_their_order(scratch: Path) -> None:
    """Merged bytes synced, active segment synced, renamed, directory synced; only then are the old ones unlinked."""
    disk = WatchedDisk(scratch)
    with LogEngine(disk, MANUAL) as store:
        for number in range(4):
            store[b"k"] = bytes(900 + number)
        disk.steps.clear()
        store.compact()
    steps = [step.split()[0] + " " + step.split()[-1] for step in disk.steps]
    write = disk.steps.index("write 0000000003-1.tmp synced")
    rename = disk.steps.index("rename 0000000003-1.tmp 0000000003-1.data")
    first_unlink = next(number for number, step in enumerate(disk.steps) if step.startswith("unlink"))
    last_unlink = max(number for number, step in enumerate(disk.steps) if step.startswith("unlink"))
    assert disk.steps.index("sync 0000000004.data") < rename
    assert write < rename
    assert "sync_dir sync_dir" in steps[rename:first_unlink]
    assert "sync_dir sync_dir" in steps[last_unlink:]
    assert sum(step.startswith("unlink") for step in disk.steps) == 3


def test_directory_stays_bounded_over_a_long_run(scratch: Path, rng: random.Random) -> None:
    """However long keys are overwritten, the directory stays within a small multiple of what is live."""
    live_bytes = 50 * 150
    with LogEngine.open(
        scratch, sync="none", segment_bytes=8_192, compact_dead_bytes=16_384, compact_dead_ratio=0.5
    ) as store:
        largest = 0
        for number in range(3_000):
            store[b"%02d" % rng.randrange(50)] = bytes(120) + b"%5d" % number
            if number % 100 == 0:
                largest = max(largest, sum(segment.end for segment in inside.segments(store)))
        assert store.stats().merges > 10
        assert largest < 4 * live_bytes + 16_384 + 8_192
        check_account(store)
        assert total_bytes(scratch) < 200_000


def test_thresholds_are_kept(scratch: Path) -> None:
    """No compaction by itself before so many bytes and such a part of all are dead; then one comes inline."""
    options = LogOptions(sync="none", compact_dead_bytes=10_000, compact_dead_ratio=0.5)
    with LogEngine(WatchedDisk(scratch), options) as store:
        store[b"live"] = bytes(30_000)
        merged_at = 0
        for number in range(1, 80):
            store[b"k"] = bytes(1_000 - 25)
            if store.stats().merges:
                merged_at = number
                break
            assert store.stats().dead_bytes == (number - 1) * 1_000
        assert 29 <= merged_at <= 34, "half of all is dead when about thirty of sixty kilobytes are"


def test_random_runs_agree_with_a_dict(scratch: Path, rng: random.Random) -> None:
    """Sets, removes, batches, compactions and reopenings in any order leave what they leave in a dict."""
    model: dict[bytes, bytes] = {}
    for round_number in range(6):
        options = LogOptions(
            sync="none", segment_bytes=rng.choice([1_000, 5_000]), compact_dead_bytes=rng.choice([2_000, 1 << 30])
        )
        with LogEngine(WatchedDisk(scratch, seed=round_number), options) as store:
            assert dict(store) == model
            check_account(store)
            for number in range(150):
                key = b"%d" % rng.randrange(25)
                step = rng.random()
                if step < 0.5:
                    model[key] = store[key] = rng.randbytes(rng.randrange(60)) + b"%d" % number
                elif step < 0.8:
                    store.write([(key, None), (b"b" + key, b"%d" % number)])
                    model.pop(key, None)
                    model[b"b" + key] = b"%d" % number
                elif step < 0.97:
                    assert (store.pop(b"b" + key, None) is None) == (model.pop(b"b" + key, None) is None)
                else:
                    store.compact()
                    assert store.stats().dead_bytes == 0
            assert dict(store) == model
            check_account(store)


def test_removed_keys_do_not_come_back(scratch: Path) -> None:
    """A tombstone is kept while an older segment may hold a value of its key, through every partial merge."""
    options = LogOptions(sync="none", segment_bytes=1_000, compact_dead_bytes=1 << 40)
    with LogEngine(WatchedDisk(scratch), options) as store:
        store.update({b"old": bytes(400), b"stays": bytes(500)})
        store[b"full"] = bytes(950)
        del store[b"old"]
        store[b"full2"] = bytes(950)
        first = inside.segments(store)[0]
        inside.seal_last(store)
        index = next(number for number, each in enumerate(inside.segments(store)) if b"old" in each.removed)
        assert index > 0
        inside.merge_one(store, index)
        assert b"old" in inside.segments(store)[index].removed, "the older segment still holds its value"
        assert inside.keydir(store).dead[first.slot] > 0
    with LogEngine(WatchedDisk(scratch), options) as store:
        assert b"old" not in store
        store.compact()
        assert store.stats().dead_bytes == 0
        assert not any(each.removed for each in inside.segments(store)), "nothing older is left that they could hide"
    with LogEngine.open(scratch) as store:
        assert sorted(store) == [b"full", b"full2", b"stays"]


def test_progress_runs_to_its_end(scratch: Path) -> None:
    """Progress never goes back, ends at the total, and the total is the same from the start."""
    with LogEngine(WatchedDisk(scratch), MANUAL) as store:
        for number in range(60):
            store[b"%d" % (number % 30)] = bytes(90)
        calls: list[tuple[int, int]] = []
        store.compact(lambda done, total: calls.append((done, total)))
    assert calls
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    assert {total for _, total in calls} == {calls[-1][0]}


def filled(path: Path) -> tuple[WatchedDisk, LogEngine, dict[bytes, bytes]]:
    """Return a store with something to merge."""
    disk = WatchedDisk(path)
    store = LogEngine(disk, MANUAL)
    for number in range(40):
        store[b"%d" % (number % 20)] = bytes(90)
    return disk, store, dict(store)


def test_full_disk_undoes_a_merge(scratch: Path) -> None:
    """A merge for which there is no room raises, leaves no file behind, and everything as it was; later it succeeds."""
    disk, store, pairs = filled(scratch)
    before = names(scratch)
    disk.fail("write", errno.ENOSPC)
    with pytest.raises(StorageError, match="No space left"):
        store.compact()
    assert names(scratch) == before
    assert names(scratch, "*.tmp") == []
    assert dict(store) == pairs
    store.compact()
    assert store.stats().dead_bytes == 0
    store.close()
    with LogEngine.open(scratch) as again:
        assert dict(again) == pairs


def test_interrupted_merge_leaves_no_file(scratch: Path) -> None:
    """Ctrl-C in the middle of a merge leaves the store as it was, without a half-made file."""
    _, store, pairs = filled(scratch)

    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.compact(interrupt)
    assert names(scratch, "*.tmp") == []
    assert dict(store) == pairs
    store[b"more"] = b"1"
    store.close()
    with LogEngine.open(scratch) as again:
        assert dict(again) == {**pairs, b"more": b"1"}


def test_merge_that_may_count_refuses_writes(scratch: Path) -> None:
    """When the rename's directory sync fails, nobody knows whether the merge counts: reads go on, writes do not."""
    for step in ("rename", "sync_dir"):
        path = scratch / step
        disk, store, pairs = filled(path)
        disk.fail(step, errno.EIO)
        with pytest.raises(StorageError):
            store.compact()
        assert dict(store) == pairs
        with pytest.raises(WritesRefusedError, match="takes no writes: a compaction"):
            store[b"k"] = b""
        store.close()
        with LogEngine.open(path) as again:
            assert dict(again) == pairs


def test_what_could_not_be_unlinked_is_left_to_the_next(scratch: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A merged segment that cannot be removed is logged, does no harm, and is gone after the next opening."""
    disk, store, pairs = filled(scratch)
    disk.fail("unlink", errno.EACCES)
    store.compact()
    assert "the next opening will" in caplog.text
    leftover = set(names(scratch)) - {segment.name.data for segment in inside.segments(store)}
    assert leftover
    store[b"k"] = b"v"
    store.close()
    with LogEngine.open(scratch) as again:
        assert dict(again) == {**pairs, b"k": b"v"}
        assert not leftover & set(names(scratch))


def test_hint_that_cannot_be_written_costs_nothing_else(scratch: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full disk that has no room for a hint is logged; compaction succeeds without."""
    disk, store, pairs = filled(scratch)

    def no_hints(step: str) -> None:
        if step.startswith("write") and ".hint" in step:
            raise StorageError("no room")

    disk.before = no_hints
    store.compact()
    assert "no hint file: no room" in caplog.text
    store.close()
    assert names(scratch, "*.hint") == []
    with LogEngine.open(scratch) as again:
        assert dict(again) == pairs


def test_rot_stops_a_merge(scratch: Path) -> None:
    """A merge that meets rot raises and changes nothing: it never copies a record whose checksum does not fit."""
    _, store, pairs = filled(scratch)
    before = names(scratch)
    path = scratch / before[0]
    data = path.read_bytes()
    with path.open("r+b") as file:
        file.seek(100)
        file.write(bytes([data[100] ^ 1]))
    with pytest.raises(CorruptRecordError, match=r"0000000001\.data is damaged at offset 32"):
        store.compact()
    assert set(names(scratch)) == set(before)
    path.write_bytes(data)
    assert dict(store) == pairs
    store.close()


def test_failed_compaction_by_itself_fails_no_write(scratch: Path, caplog: pytest.LogCaptureFixture) -> None:
    """When an automatic compaction fails the write at hand is done and well; it is logged, and tried again later."""
    disk = WatchedDisk(scratch)
    options = LogOptions(sync="none", segment_bytes=30_000, compact_dead_bytes=20_000, compact_dead_ratio=0.1)
    with LogEngine(disk, options) as store:
        disk.fail("write", errno.ENOSPC)
        for number in range(400):
            store[b"k"] = bytes(1_000) + b"%d" % number
        assert "compaction failed" in caplog.text
        assert store[b"k"].endswith(b"399")
        assert store.stats().merges > 0
    with LogEngine.open(scratch) as store:
        assert len(store) == 1
