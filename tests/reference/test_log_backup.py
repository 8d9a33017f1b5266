"""Backup and restore: a copy of one moment, while others write; nothing half-made passes for a store."""

import errno
import threading
from pathlib import Path

import inside
import pytest
from log_disks import WatchedDisk
from support.directory import contents

from kvs import CorruptRecordError, LogEngine, StorageError, StoreLockedError, StoreMissingError, WrongEngineError
from kvs.log import backup as backup_room
from kvs.log import marker
from kvs.log.backup import Source, copy, restore
from kvs.log.disk import OsDisk
from kvs.log.options import LogOptions

OPTIONS = LogOptions(sync="none", segment_bytes=2_000, compact_dead_bytes=1 << 40)


def filled(path: Path) -> LogEngine:
    """Return an open store of several segments, some of them merged."""
    store = LogEngine(WatchedDisk(path), OPTIONS)
    for number in range(60):
        store[b"%d" % (number % 25)] = bytes(80) + b"%d" % number
    store.compact()
    for number in range(20):
        store[b"%d" % number] = bytes(90) + b"%d" % number
    del store[b"24"]
    return store


def pairs_of(path: Path) -> dict[bytes, bytes]:
    """Return what a store holds."""
    with LogEngine.open(path, flag="r") as store:
        return dict(store)


def test_backup_is_a_store_and_restores(scratch: Path) -> None:
    """A backup opens as a store; restored elsewhere it is the same; the reports count files and bytes."""
    store = filled(scratch / "store")
    pairs = dict(store)
    calls: list[tuple[int, int]] = []
    report = store.backup(scratch / "deep" / "copy", lambda done, total: calls.append((done, total)))
    assert report.segments == store.stats().segments > 2
    assert calls[-1] == (report.size_bytes, report.size_bytes)
    assert [done for done, _ in calls] == sorted(done for done, _ in calls)
    store[b"later"] = b"not in it"
    store.close()
    assert pairs_of(scratch / "deep" / "copy") == pairs
    again = restore(scratch / "deep" / "copy", scratch / "restored", lambda *_: None)
    assert again == report
    with LogEngine.open(scratch / "restored") as back:
        assert dict(back) == pairs
        assert back.stats().recovery.was_clean
        back[b"new"] = b"1"


def test_empty_store_is_backed_up(scratch: Path) -> None:
    """A store without any keys has a backup, too."""
    with LogEngine.open(scratch / "store") as store:
        assert store.backup(scratch / "copy").segments == 0
    restore(scratch / "copy", scratch / "back")
    assert pairs_of(scratch / "back") == {}


def test_reader_backs_up(scratch: Path) -> None:
    """A reader can make a backup, also of a store that was not closed; it changes nothing at the source."""
    store = filled(scratch / "store")
    pairs = dict(store)
    left = contents(scratch / "store")
    store.close()
    for name, data in left.items():
        (scratch / "store" / name).write_bytes(data)
    before = contents(scratch / "store")
    with LogEngine.open(scratch / "store", flag="r") as reader:
        reader.backup(scratch / "copy")
    assert contents(scratch / "store") == before
    assert pairs_of(scratch / "copy") == pairs
    restore(scratch / "copy", scratch / "back")
    assert pairs_of(scratch / "back") == pairs


@pytest.mark.timeout(30)
def test_backup_is_of_one_moment_whatever_others_do(scratch: Path) -> None:
    """While a backup is under way others write, and a compaction unlinks what it copies: it holds its own moment."""
    store = filled(scratch / "store")
    pairs = dict(store)
    others: list[threading.Thread] = []

    def disturb(_done: int, _total: int) -> None:
        if not others:
            others.append(threading.Thread(target=rewrite))
            others[0].start()
            others[0].join(10)
            assert not others[0].is_alive(), "a backup holds no lock while it copies"

    def rewrite() -> None:
        for number in range(25):
            store[b"%d" % number] = b"rewritten"
        store.compact()

    store.backup(scratch / "copy", disturb)
    assert store.stats().merges > 1
    assert store[b"1"] == b"rewritten"
    store.close()
    assert pairs_of(scratch / "copy") == pairs


def test_store_in_the_way_is_refused(scratch: Path) -> None:
    """Where there is a store already, neither a backup nor a restore goes; nothing there is touched."""
    store = filled(scratch / "store")
    with LogEngine.open(scratch / "there") as other:
        other[b"mine"] = b"1"
        with pytest.raises(StoreLockedError):
            store.backup(scratch / "there")
    before = contents(scratch / "there")
    with pytest.raises(StorageError, match=r"there is a store in .*there already"):
        store.backup(scratch / "there")
    with pytest.raises(StoreLockedError):
        store.backup(scratch / "store")
    store.backup(scratch / "copy")
    with pytest.raises(StorageError, match="already"):
        restore(scratch / "copy", scratch / "there")
    store.close()
    assert contents(scratch / "there") == before


def test_foreign_files_stay(scratch: Path) -> None:
    """A backup into a directory with other files leaves them as they are."""
    (scratch / "copy").mkdir()
    (scratch / "copy" / "notes.txt").write_bytes(b"mine")
    with filled(scratch / "store") as store:
        store.backup(scratch / "copy")
    assert (scratch / "copy" / "notes.txt").read_bytes() == b"mine"


@pytest.mark.parametrize("step", ["write 0000000001", "write 00000000", "sync_dir", "rename", "write ENGINE.tmp"])
@pytest.mark.parametrize("after", [0, 1, 2])
def test_unfinished_backup_is_no_store_and_is_replaced(scratch: Path, step: str, after: int) -> None:
    """Whatever step of a backup fails: what is left is refused, or is whole; and the next backup succeeds."""
    store = filled(scratch / "store")
    pairs = dict(store)
    store.compact()
    sources = [Source(each.name, each.memory, each.end) for each in inside.segments(store)]
    dest = WatchedDisk(scratch / "copy")
    seen = 0

    def fail(done: str) -> None:
        nonlocal seen
        if done.startswith(step):
            seen += 1
            if seen == after + 1:
                raise StorageError("no more") from OSError(errno.ENOSPC, "no more")

    dest.before = fail
    try:
        copy(sources, dest)
    except StorageError:
        try:
            assert pairs_of(scratch / "copy") == pairs
        except (WrongEngineError, StoreMissingError):
            dest.before = lambda _step: None
            copy(sources, dest)
    assert pairs_of(scratch / "copy") == pairs
    store.close()


def test_leftovers_of_an_unfinished_backup_are_cleared(scratch: Path) -> None:
    """What an unfinished backup left is cleared by the next one, so that old segments do not mix with new ones."""
    with LogEngine.open(scratch / "other") as other:
        for number in range(3):
            other[b"old%d" % number] = b"old"
        other.backup(scratch / "copy")
    marker.write(OsDisk(scratch / "copy"), marker.UNFINISHED)
    (scratch / "copy" / "0000000099.data").write_bytes(b"half")
    with pytest.raises(WrongEngineError):
        LogEngine.open(scratch / "copy")
    with filled(scratch / "store") as store:
        pairs = dict(store)
        store.backup(scratch / "copy")
    assert pairs_of(scratch / "copy") == pairs


def test_restore_reads_every_byte(scratch: Path) -> None:
    """A backup with rot in it, which opening alone would not see, is not restored, and nothing is made of it."""
    with LogEngine.open(scratch / "store") as store:
        store[b"large"] = bytes(200_000)
        store[b"b"] = b"2"
        store.compact()
    assert list((scratch / "store").glob("*.hint"))
    [path] = (scratch / "store").glob("*.data")
    data = path.read_bytes()
    path.write_bytes(data[:1_000] + b"\x01" + data[1_001:])
    with pytest.raises(CorruptRecordError):
        restore(scratch / "store", scratch / "back")
    assert not (scratch / "back").exists()


def test_restore_wants_a_backup(scratch: Path) -> None:
    """No directory, an empty one, another engine's, or one that is in use: each its own error, and nothing is made."""
    (scratch / "empty").mkdir()
    with pytest.raises(StoreMissingError):
        restore(scratch / "nowhere", scratch / "back")
    with pytest.raises(StorageError, match="there is no backup in"):
        restore(scratch / "empty", scratch / "back")
    with LogEngine.open(scratch / "store"), pytest.raises(StoreLockedError):
        restore(scratch / "store", scratch / "back")
    (scratch / "store" / "ENGINE").write_bytes(b"sqlite 1\n")
    with pytest.raises(WrongEngineError):
        restore(scratch / "store", scratch / "back")
    assert not (scratch / "back").exists()


def test_large_files_are_copied_in_parts(scratch: Path) -> None:
    """A file larger than a part is copied whole, and told in steps."""
    size = backup_room.CHUNK_BYTES * 2 + 5
    calls: list[int] = []
    with LogEngine.open(scratch / "store") as store:
        store[b"large"] = bytes(size)
        store.backup(scratch / "copy", lambda done, _total: calls.append(done))
        assert len(calls) == 3
    assert pairs_of(scratch / "copy") == {b"large": bytes(size)}
