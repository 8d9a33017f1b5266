"""Task 2.4: a removed key stays removed, because the log says so."""

from pathlib import Path

import pytest
from support.directory import segments

import kvs
from kvs import LogEngine

pytestmark = pytest.mark.task("2.4")


def test_remove_survives_a_reopen(tmp_path: Path) -> None:
    """A key that was removed is absent after a reopen, and the others are there."""
    with LogEngine.open(tmp_path, sync="none") as store:
        for key in (b"a", b"ab", b"b"):
            store.set(key, key * 2)
        store.remove(b"a")
    with LogEngine.open(tmp_path, sync="none") as store:
        assert dict(store) == {b"ab": b"abab", b"b": b"bb"}
        assert len(store) == 2


def test_remove_survives_several_reopens(tmp_path: Path) -> None:
    """A removed key does not come back with a later reopen, when nothing was written in between."""
    with LogEngine.open(tmp_path, sync="none") as store:
        store.set(b"key", b"value")
    with LogEngine.open(tmp_path, sync="none") as store:
        store.remove(b"key")
    for _ in range(3):
        with LogEngine.open(tmp_path, sync="none") as store:
            assert b"key" not in store


def test_key_set_again_after_its_removal_is_there(tmp_path: Path) -> None:
    """A tombstone ends what stands before it, not what comes after it."""
    with LogEngine.open(tmp_path, sync="none") as store:
        store.set(b"key", b"old")
        store.remove(b"key")
        store.set(b"key", b"new")
    with LogEngine.open(tmp_path, sync="none") as store:
        assert dict(store) == {b"key": b"new"}


def test_empty_value_is_no_tombstone(tmp_path: Path) -> None:
    """A key with an empty value is there after a reopen; so is the key that is empty itself."""
    with LogEngine.open(tmp_path, sync="none") as store:
        store.set(b"key", b"")
        store.set(b"", b"value")
    with LogEngine.open(tmp_path, sync="none") as store:
        assert dict(store) == {b"key": b"", b"": b"value"}
        store.remove(b"")
    with LogEngine.open(tmp_path, sync="none") as store:
        assert dict(store) == {b"key": b""}


def test_remove_of_a_missing_key_writes_nothing(tmp_path: Path) -> None:
    """Removing what is not there raises KeyNotFoundError, and leaves no trace in the log."""
    with LogEngine.open(tmp_path, sync="none") as store:
        store.set(b"key", b"value")
        for _ in range(50):
            with pytest.raises(kvs.KeyNotFoundError):
                store.remove(b"never there")
        store.remove(b"key")
        with pytest.raises(kvs.KeyNotFoundError):
            store.remove(b"key")
    assert all(b"never there" not in path.read_bytes() for path in segments(tmp_path))


def test_remove_reaches_into_older_segments(tmp_path: Path) -> None:
    """A tombstone in a later segment ends a value in an earlier one."""
    with LogEngine.open(tmp_path, sync="none", segment_bytes=1024) as store:
        store.set(b"key", b"value")
        for number in range(100):
            store.set(b"filler%d" % number, bytes(100))
        store.remove(b"key")
        for number in range(100):
            store.set(b"more%d" % number, bytes(100))
    assert len(segments(tmp_path)) > 3
    with LogEngine.open(tmp_path, sync="none", segment_bytes=1024) as store:
        assert b"key" not in store
        assert len(store) == 200
