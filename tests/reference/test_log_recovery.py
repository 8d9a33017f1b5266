"""Recovery: a torn tail is cut and no more, rot is reported, leftovers go; every cut and every flipped bit is tried."""

import random
import shutil
from pathlib import Path

import inside
import pytest
from log_disks import WatchedDisk
from support.directory import contents, flipped, put
from support.history import History, Step, random_steps

from kvs import CorruptRecordError, LogEngine, StorageError
from kvs.log import header, record
from kvs.log.options import LogOptions
from kvs.log.verify import check

OPTIONS = LogOptions(sync="none", segment_bytes=700, compact_dead_bytes=1 << 40)


def crashed(path: Path, steps: list[Step]) -> tuple[dict[str, bytes], str]:
    """Take steps on a store, and return its files as a kill leaves them, with the name of the active segment."""
    store = LogEngine(WatchedDisk(path), OPTIONS)
    for key, value in steps:
        store.write([(key, value)])
    store.sync()
    left = contents(path)
    name = inside.segments(store)[-1].name.data
    store.close()
    left.pop("LOCK")
    return left, name


def test_every_cut_of_the_active_segment_gives_a_prefix(scratch: Path, rng: random.Random) -> None:
    """Whatever the byte at which the active segment ends, recovery shows history up to some step and goes on."""
    history = History(random_steps(rng, 45))
    left, active = crashed(scratch / "store", history.steps)
    data = left[active].rstrip(b"\0") + bytes(8)
    opened, found = 0, set()
    for size in range(len(data)):
        for room in (0, -size % 512):
            path = put(scratch / "cut", {**left, active: data[:size] + bytes(room)})
            with LogEngine(WatchedDisk(path), OPTIONS) as store:
                found.add(history.check(dict(store)))
                opened += 1
                store[b"after"] = b"crash"
                expected = dict(store)
            with LogEngine(WatchedDisk(path), OPTIONS, flag="r") as store:
                assert dict(store) == expected
                assert store.stats().recovery.was_clean
    assert opened == 2 * len(data)
    assert max(found) == len(history.steps)
    assert len(found) > 5, "the cuts went through several records"


def closed_store(path: Path, rng: random.Random) -> dict[bytes, bytes]:
    """Make a small store with all there is: overwritten and removed keys, a batch, a merge, hints, two segments."""
    with LogEngine(WatchedDisk(path), OPTIONS) as store:
        for number in range(12):
            store[b"k%d" % (number % 4)] = rng.randbytes(40) + b"%d" % number
        store.compact()
        store.write([(b"batch1", b"one"), (b"batch2", b""), (b"k0", None)])
        store[b"last"] = b"value"
        assert store.stats().segments >= 2
        return dict(store)


def judge(path: Path, pairs: dict[bytes, bytes]) -> str:
    """Open a damaged store and say how it came out; fail on a wrong value or a silent loss."""
    try:
        with LogEngine.open(path, flag="r") as store:
            keys = set(store)
            for key, value in pairs.items():
                try:
                    assert store.get(key) == value, f"{key!r}: wrong or lost in silence"
                except CorruptRecordError:
                    return "error at get"
            assert keys == set(pairs), "keys came back"
            return "harmless"
    except StorageError:
        return "error at open"


def test_every_flipped_bit_of_a_closed_store_is_harmless_or_told(scratch: Path, rng: random.Random) -> None:
    """Each single flipped bit of every file of a closed store: no wrong value, no silent loss."""
    pairs = closed_store(scratch / "store", rng)
    files = contents(scratch / "store")
    path = put(scratch / "flipped", files)
    outcomes: dict[str, int] = {}
    tried = 0
    for name, data in files.items():
        for bit in range(len(data) * 8):
            (path / name).write_bytes(flipped(data, bit))
            outcome = judge(path, pairs)
            outcomes[outcome] = outcomes.get(outcome, 0) + 1
            tried += 1
        (path / name).write_bytes(data)
    assert tried == sum(map(len, files.values())) * 8
    assert outcomes["error at open"] > 1_000
    assert outcomes["error at get"] > 500
    assert outcomes["harmless"] > 50, "the hint, the lock, and the seal cost nothing"


@pytest.mark.parametrize("size_bytes", [1, 512])
def test_zeroed_bytes_of_a_closed_store_are_told(scratch: Path, rng: random.Random, size_bytes: int) -> None:
    """Zeros over any stretch, as a lost sector leaves them: no wrong value, no silent loss."""
    pairs = closed_store(scratch / "store", rng)
    files = contents(scratch / "store")
    path = put(scratch / "zeroed", files)
    for name, data in files.items():
        for start in range(0, len(data), size_bytes):
            stop = min(start + size_bytes, len(data))
            (path / name).write_bytes(data[:start] + bytes(stop - start) + data[stop:])
            judge(path, pairs)
        (path / name).write_bytes(data)


def test_rot_before_durable_records_is_told_and_nothing_is_changed(scratch: Path) -> None:
    """Bad bytes before what was durable are refused with path, offset and reason, to readers and writers alike."""
    with LogEngine(WatchedDisk(scratch), LogOptions(sync="always")) as store:
        for number in range(5):
            store[b"%d" % number] = b"value"
        data = inside.last_bytes(store)
    path = scratch / "0000000001.data"
    path.write_bytes(flipped(data, (32 + 31) * 8) + bytes(-len(data) % 512))
    before = contents(scratch)
    for flag in ("r", "c"):
        with pytest.raises(CorruptRecordError, match="says that it was durable") as caught:
            LogEngine.open(scratch, flag=flag)
        assert (caught.value.path, caught.value.offset) == (str(path), 32 + 30)
        assert caught.value.expected == "a record whose checksum fits"
        assert contents(scratch) == before


def test_torn_tail_is_cut_and_told(scratch: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A torn tail is cut once, with its size in the log and in stats(); the next opening is clean."""
    left, active = crashed(scratch / "store", [(b"a", b"1"), (b"b", b"2")])
    data = left[active].rstrip(b"\0")
    path = put(scratch / "torn", {**left, active: data[:-3] + b"\x01" * 10 + bytes(-len(data) - 7 + 1024)})
    for flag in ("r", "w"):
        with LogEngine.open(path, flag=flag) as store:
            assert dict(store) == {b"a": b"1"}
            facts = store.stats().recovery
            assert (facts.was_clean, facts.torn_bytes) == (False, 33)
        assert "a torn tail of 33 bytes at offset 58" in caplog.text
    with LogEngine.open(path) as store:
        assert (store.stats().recovery.was_clean, store.stats().recovery.torn_bytes) == (True, 0)
        assert dict(store) == {b"a": b"1"}


def test_torn_batch_is_cut_whole(scratch: Path) -> None:
    """A batch of which the last record is missing leaves nothing of itself behind, nor of the tail."""
    store = LogEngine(WatchedDisk(scratch / "store"), OPTIONS)
    store[b"a"] = b"1"
    end = inside.segments(store)[-1].end
    store.write([(b"a", None), (b"b", b"2"), (b"c", b"3")])
    data = inside.last_bytes(store)
    store.close()
    left = contents(scratch / "store")
    for size in range(end, len(data)):
        path = put(scratch / "torn", {**left, "0000000001.data": data[:size]})
        with LogEngine.open(path) as again:
            assert dict(again) == {b"a": b"1"}
            assert size - end - 12 <= again.stats().recovery.torn_bytes <= size - end, "zeros at its end may be room"
        with LogEngine.open(path) as again:
            assert dict(again) == {b"a": b"1"}


def test_sealed_segment_must_be_whole(scratch: Path) -> None:
    """A segment that is not the last ends with its seal; cut, emptied, gone or followed by more, it is refused."""
    with LogEngine(WatchedDisk(scratch / "store"), OPTIONS) as store:
        for number in range(30):
            store[b"%d" % number] = bytes(60)
    files = contents(scratch / "store")
    first, second, *_ = sorted(name for name in files if name.endswith(".data"))
    wrong = {
        "cut to nothing": {**files, second: b""},
        "cut in its seal": {**files, second: files[second][:-1]},
        "without its seal": {**files, second: files[second][:-24]},
        "more behind": {**files, second: files[second] + bytes(512)},
        "another's": {**files, second: files[first]},
        "gone": {name: data for name, data in files.items() if name != second},
        "the first gone": {name: data for name, data in files.items() if name != first},
    }
    for what, damaged in wrong.items():
        path = put(scratch / "damaged", damaged)
        with pytest.raises(CorruptRecordError):
            pytest.fail(f"{what}: opened as {LogEngine.open(path)}")
        found = contents(path)
        found.pop("LOCK", None)
        assert found == {name: data for name, data in damaged.items() if name != "LOCK"}


def test_merged_segment_must_be_whole(scratch: Path) -> None:
    """A merged segment was durable before it had its name: whatever is wrong at its end is rot."""
    with LogEngine(WatchedDisk(scratch / "store"), OPTIONS) as store:
        for number in range(9):
            store[b"k%d" % (number % 2)] = bytes(200)
        store.clear()
        store[b"a"] = b"1"
        store.compact()
        [merged] = inside.segments(store)
        name = merged.name.data
    files = contents(scratch / "store")
    hintless = {each: data for each, data in files.items() if not each.endswith(".hint")}
    for data in (files[name][:-1], files[name][:-24], b"", files[name] + b"\0"):
        with pytest.raises(CorruptRecordError):
            LogEngine.open(put(scratch / "damaged", {**hintless, name: data}))
    with LogEngine.open(put(scratch / "sound", files)) as store:
        assert dict(store) == {b"a": b"1"}
        store[b"b"] = b"2"
        assert inside.segments(store)[-1].name.data != name, "nothing is appended to a merged segment"


def test_inputs_of_a_merge_do_not_count_beside_it(scratch: Path) -> None:
    """A crash may leave any of a merge's inputs: they are left out, and taken away by the next writer."""
    disk = WatchedDisk(scratch / "store")
    store = LogEngine(disk, OPTIONS)
    for number in range(12):
        store[b"k%d" % (number % 3)] = bytes(200) + b"%d" % number
    del store[b"k0"]
    inside.seal_last(store)
    before = contents(scratch / "store")
    store.compact()
    pairs = dict(store)
    store.close()
    after = contents(scratch / "store")
    inputs = [name for name in before if name.endswith(".data") and name not in after]
    assert len(inputs) >= 3
    for chosen in ([name] for name in inputs):
        path = put(scratch / "crashed", {**after, **{name: before[name] for name in chosen}})
        with LogEngine.open(path, flag="r") as again:
            assert dict(again) == pairs
        with LogEngine.open(path) as again:
            assert dict(again) == pairs
        assert set(contents(path)) == set(after)


@pytest.mark.parametrize("left", [b"", bytes(10), bytes(65_536), b"\x89kvslog\n\x01" + bytes(65_527)])
def test_segment_that_was_never_used_does_not_count(scratch: Path, left: bytes) -> None:
    """A crash while a segment is made leaves a file without a header: it held nothing, and its number is used again."""
    with LogEngine(WatchedDisk(scratch), OPTIONS) as store:
        store[b"a"] = b"1"
    (scratch / "0000000002.data").write_bytes(left)
    with LogEngine.open(scratch, flag="r") as store:
        assert dict(store) == {b"a": b"1"}
    with LogEngine(WatchedDisk(scratch), OPTIONS) as store:
        assert not (scratch / "0000000002.data").exists()
        store[b"b"] = bytes(700)
        assert (scratch / "0000000002.data").exists()


def test_value_that_looks_like_records_is_a_value(scratch: Path) -> None:
    """A value may hold a whole log, this very store's one too: a torn tail with it inside is cut all the same."""
    with LogEngine(WatchedDisk(scratch / "store"), LogOptions(sync="always")) as store:
        for number in range(5):
            store[b"%d" % number] = b"v"
    log = (scratch / "store" / "0000000001.data").read_bytes()
    with LogEngine(WatchedDisk(scratch / "other", seed=2), LogOptions(sync="always")) as store:
        store[b"a"] = b"1"
        store[b"log"] = log
        data = inside.last_bytes(store)
    path = put(
        scratch / "torn", {"ENGINE": b"log 1\n", "0000000001.data": data[:-1] + b"\xff" + bytes(-len(data) % 512)}
    )
    with LogEngine.open(path) as store:
        assert dict(store) == {b"a": b"1"}


def test_large_records_are_replayed(scratch: Path, rng: random.Random) -> None:
    """Records larger than what is read at a time, and those across its edges, are replayed as any other."""
    pairs = {
        b"%d" % number: rng.randbytes(size) for number, size in enumerate([1 << 20, 5, 3 << 20, 700_000, 700_000, 9])
    }
    with LogEngine.open(scratch, sync="none") as store:
        store.update(pairs)
        data = inside.last_bytes(store)
    for hint in scratch.glob("*.hint"):
        hint.unlink()
    with LogEngine.open(scratch, flag="r") as store:
        assert store.stats().recovery.records_replayed > 6
        assert dict(store) == pairs
    for cut in (len(data) - 1, len(data) - 600_000, 40):
        path = put(scratch / "cut", {"ENGINE": b"log 1\n", "0000000001.data": data[:cut]})
        with LogEngine.open(path, flag="r") as store:
            assert len(store) == 0, "it was one batch"


def test_older_record_behind_the_end_is_no_record(scratch: Path) -> None:
    """Sound bytes of the past behind the end, whose sequence is not higher, are cut and never replayed."""
    left, active = crashed(scratch / "store", [(b"a", b"old"), (b"a", b"new")])
    data = left[active].rstrip(b"\0")
    head = header.decode(data)
    assert head is not None
    older = record.encode(record.VALUE, b"a", b"old", 1, 32, head.seed ^ len(data))
    path = put(scratch / "again", {**left, active: data + older})
    assert check(path).findings == []
    with LogEngine.open(path) as store:
        assert dict(store) == {b"a": b"new"}
        assert store.stats().recovery.torn_bytes == len(older)


def test_copy_of_a_directory_opens(scratch: Path, rng: random.Random) -> None:
    """A store knows nothing of its path: a copy of its directory is the same store."""
    pairs = closed_store(scratch / "store", rng)
    shutil.copytree(scratch / "store", scratch / "copy")
    with LogEngine.open(scratch / "copy") as store:
        assert dict(store) == pairs
