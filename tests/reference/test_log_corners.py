"""Corners of the log store that no ordinary day visits: wrong hints, zeroed sectors, interrupts between two steps."""

import errno
import fcntl
import os
from pathlib import Path

import inside
import pytest
from limits import no_rights
from log_disks import WatchedDisk
from support.directory import contents, flipped, put

from kvs import CorruptRecordError, LogEngine, StorageError, StoreLockedError
from kvs.log import hint
from kvs.log.disk import OsDisk
from kvs.log.keydir import pack, unpack
from kvs.log.options import LogOptions
from kvs.log.verify import check

MANUAL = LogOptions(sync="none", segment_bytes=1_000, compact_dead_bytes=1 << 40)


def closed(path: Path, sizes: list[int]) -> dict[str, bytes]:
    """Return the files of a closed store of one segment, with values of these sizes."""
    with LogEngine(WatchedDisk(path), LogOptions(sync="none")) as store:
        for number, size in enumerate(sizes):
            store[b"%d" % number] = b"v" * size
    return contents(path)


@pytest.mark.parametrize("size", [400, 452, 480, 700, 1_000])
def test_zeroed_last_sector_of_a_closed_store_is_told(scratch: Path, size: int) -> None:
    """When a disk loses the last sector of a closed store, that is rot: open and check say so, nothing is cut."""
    files = closed(scratch / "store", [300, size, 300])
    data = files["0000000001.data"]
    start = len(data) // 512 * 512
    path = put(scratch / "bad", {**files, "0000000001.data": data[:start] + bytes(len(data) - start)})
    for flag in ("r", "w"):
        with pytest.raises(CorruptRecordError, match="sealed"):
            LogEngine.open(path, flag=flag)
    assert check(path).findings
    assert len(contents(path)["0000000001.data"]) == len(data)


@pytest.mark.parametrize("left", [1, 10, 19, 25, 200])
def test_record_of_zeros_cut_short_is_a_torn_tail(scratch: Path, left: int) -> None:
    """A value of zeros whose end is missing looks like a lost sector and is a torn tail: it is cut, and told."""
    with LogEngine(WatchedDisk(scratch / "store"), LogOptions(sync="none")) as store:
        store[b"a"] = b"1"
        end = inside.segments(store)[0].end
        store[b"zeros"] = bytes(2_000)
        data = inside.segments(store)[0].memory[: end + left]
    path = put(scratch / "cut", {"ENGINE": b"log 1\n", "0000000001.data": data})
    assert check(path).findings == []
    with LogEngine.open(path) as store:
        assert dict(store) == {b"a": b"1"}


def test_record_cut_short_within_its_header_is_a_torn_tail(scratch: Path) -> None:
    """A header that goes on into another sector, where only a zero of it is left, is a torn tail and no lost sector."""
    with LogEngine(WatchedDisk(scratch / "store"), LogOptions(sync="none")) as store:
        store[b"a"] = b"v" * 448
        assert inside.segments(store)[0].end == 505
        store[b"b"] = b"1"
        data = inside.segments(store)[0].memory[:513]
    assert data[512:] == b"\0"
    path = put(scratch / "cut", {"ENGINE": b"log 1\n", "0000000001.data": data})
    assert check(path).findings == []
    with LogEngine.open(path) as store:
        assert dict(store) == {b"a": b"v" * 448}


def test_disk_too_full_for_a_seal_is_no_loss(scratch: Path) -> None:
    """A store that recovery had to cut is closed without a seal when the disk is full, and nothing is missing."""
    with LogEngine(WatchedDisk(scratch / "store"), LogOptions(sync="none")) as store:
        store[b"a"] = b"1"
        data = inside.segments(store)[0].memory[: inside.segments(store)[0].end]
    path = put(scratch / "cut", {"ENGINE": b"log 1\n", "0000000001.data": data})
    disk = WatchedDisk(path)
    store = LogEngine(disk)
    disk.fail("grow", errno.ENOSPC)
    store.close()
    assert contents(path)["0000000001.data"] == data
    with LogEngine.open(path) as store:
        assert dict(store) == {b"a": b"1"}


def test_hint_that_points_beside_a_record_serves_nothing(scratch: Path) -> None:
    """A hint that is sound and wrong about a size: get reports rot, and never serves those bytes as a value."""
    files = closed(scratch / "store", [70_000, 10])
    name = "0000000001.hint"
    seed = hint.seed_of(files[name])
    assert seed is not None
    said = hint.decode(files[name], seed)
    assert said is not None
    _, offset, size_bytes = unpack(said.places[1])
    wrong = said._replace(places=hint.places([said.places[0], pack(0, offset, size_bytes - 1)]))
    path = put(scratch / "bad", {**files, name: b"".join(hint.encode(wrong, seed))})
    with LogEngine.open(path, flag="r") as store:
        with pytest.raises(CorruptRecordError, match="expected the record that the index knows, found another one"):
            store.get(b"1")
        assert store.get(b"0") == b"v" * 70_000
    assert [finding.found for finding in check(path).findings] == ["other keys"]


def test_check_leaves_out_what_a_merge_replaced(scratch: Path) -> None:
    """Inputs that a crash left beside their merge are no damage and are not counted."""
    store = LogEngine(WatchedDisk(scratch / "store"), MANUAL)
    for number in range(6):
        store[b"k"] = bytes(600) + b"%d" % number
    before = contents(scratch / "store")
    store.compact()
    store.close()
    after = contents(scratch / "store")
    report = check(put(scratch / "crashed", {**before, **after}))
    assert report.findings == []
    assert report.segments == sum(name.endswith(".data") for name in after)


def test_large_merge_is_written_in_parts(scratch: Path) -> None:
    """A merge of several megabytes keeps every value; it is not gathered in memory whole."""
    with LogEngine(WatchedDisk(scratch), LogOptions(sync="none", compact_dead_bytes=1 << 40)) as store:
        for number in range(8):
            store[b"%d" % (number % 5)] = bytes([number]) * 700_000
        store.compact()
        assert store.stats().dead_bytes == 0
        pairs = dict(store)
    assert [pairs[b"%d" % number][:1] for number in range(5)] == [b"\5", b"\6", b"\7", b"\3", b"\4"]
    with LogEngine.open(scratch) as store:
        assert dict(store) == pairs


def test_failed_erasure_lets_go_of_the_directory(scratch: Path) -> None:
    """Flag "n" on a store that cannot be erased raises, and the directory is free again."""
    closed(scratch, [1])
    disk = WatchedDisk(scratch)
    disk.fail("unlink", errno.EACCES)
    with pytest.raises(StorageError):
        LogEngine(disk, flag="n")
    LogEngine.open(scratch).close()


def test_interrupt_between_log_and_index_leaves_them_agreed(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after a write is in the log and before it is in the index: it is in both, before and after reopening."""
    with LogEngine(WatchedDisk(scratch), MANUAL) as store:
        store.update({b"a": b"1", b"b": b"2"})
        inside.interrupt_once(store, monkeypatch)
        with pytest.raises(KeyboardInterrupt):
            store.write([(b"a", None), (b"b", b"3"), (b"c", b"4")])
        monkeypatch.undo()
        assert dict(store) == {b"b": b"3", b"c": b"4"}
        store.compact()
        assert store.stats().dead_bytes == 0
        assert dict(store) == {b"b": b"3", b"c": b"4"}
    with LogEngine.open(scratch) as store:
        assert dict(store) == {b"b": b"3", b"c": b"4"}


@pytest.mark.parametrize("left", [b"", b"words\n", b"-1\n", b"99999999999999999999\n", b"4194305\n"])
def test_refused_owner_names_a_living_process_or_none(scratch: Path, left: bytes) -> None:
    """Whatever stands in the LOCK file, no process is named that does not live."""
    disk = OsDisk(scratch)
    reader = disk.lock(exclusive=False, in_child=lambda: None)
    assert reader is not None
    (scratch / "LOCK").write_bytes(left)
    with pytest.raises(StoreLockedError) as caught:
        disk.lock(exclusive=True, in_child=lambda: None)
    assert caught.value.pid is None
    (scratch / "LOCK").write_bytes(b"%d\n" % os.getppid())
    with pytest.raises(StoreLockedError) as caught:
        disk.lock(exclusive=True, in_child=lambda: None)
    assert caught.value.pid == os.getppid()
    reader.release()


def test_store_is_read_without_any_right_to_write(tmp_path: Path) -> None:
    """Who may only read a store's directory and files may open it to read; rot there is told as anywhere."""
    files = closed(tmp_path / "store", [10, 20])
    for path in (tmp_path / "store").iterdir():
        path.chmod(0o644)
    with no_rights(tmp_path / "store"), LogEngine.open(tmp_path / "store", flag="r") as store:
        assert dict(store) == {b"0": b"v" * 10, b"1": b"v" * 20}
    name = "0000000001.data"
    (tmp_path / "store" / name).write_bytes(flipped(files[name], 45 * 8))
    with no_rights(tmp_path / "store"), pytest.raises(CorruptRecordError):
        LogEngine.open(tmp_path / "store", flag="r")


def test_check_without_seed_finds_the_whole_file(scratch: Path) -> None:
    """Where neither header nor hint nor neighbours tell the seed, all of the file is a finding; nothing is guessed."""
    files = closed(scratch / "store", [10])
    data = files["0000000001.data"]
    path = put(scratch / "bad", {**files, "0000000001.data": flipped(flipped(data, 100), 40 * 8)})
    assert sum(finding.size_bytes for finding in check(path).findings) == len(data)


def test_hint_of_a_removed_key_agrees(scratch: Path) -> None:
    """A hint that covers values set, removed, and set again agrees with the records, and says what was removed."""
    with LogEngine(WatchedDisk(scratch), LogOptions(sync="none")) as store:
        store.update({b"a": bytes(70_000), b"b": b"2", b"c": b"3"})
        store.write([(b"a", None), (b"b", None)])
        store[b"b"] = bytes(70_000)
    [path] = scratch.glob("*.hint")
    seed = hint.seed_of(path.read_bytes())
    assert seed is not None
    said = hint.decode(path.read_bytes(), seed)
    assert said is not None
    assert (sorted(said.keys), said.removed) == ([b"b", b"c"], [b"a"])
    assert check(scratch).findings == []


def test_another_users_process_is_named(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may not be asked lives all the same: it is named."""

    def not_permitted(_pid: int, _signal: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "kill", not_permitted)
    disk = OsDisk(scratch)
    owner = disk.lock(exclusive=True, in_child=lambda: None)
    assert owner is not None
    with pytest.raises(StoreLockedError) as caught:
        disk.lock(exclusive=True, in_child=lambda: None)
    assert caught.value.pid == os.getpid()
    owner.release()


def test_directory_is_synced_as_strongly_as_files(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On macOS a directory's names need F_FULLFSYNC, too."""
    calls: list[int] = []
    monkeypatch.setattr(fcntl, "F_FULLFSYNC", 51, raising=False)
    monkeypatch.setattr(fcntl, "fcntl", lambda _fd, command: calls.append(command))
    OsDisk(scratch).sync_dir()
    assert calls == [51]
