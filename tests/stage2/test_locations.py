"""Task 2.3: the index holds where values are, not the values; they are read from the file, and checked."""

import tracemalloc
from pathlib import Path

import pytest
from support.directory import segments, without_room

import kvs
from kvs import LogEngine

pytestmark = pytest.mark.task("2.3")

VALUE_BYTES = 100_000
VALUES = 200


def test_values_are_not_held_in_memory(tmp_path: Path) -> None:
    """20 MB of values do not grow the process by 2 MB: not when they are set, nor read, nor found at a reopen."""
    tracemalloc.start()
    try:
        with LogEngine.open(tmp_path, sync="none") as store:
            before = tracemalloc.get_traced_memory()[0]
            for number in range(VALUES):
                store.set(b"key%d" % number, number.to_bytes(4, "big") * (VALUE_BYTES // 4))
            after_set = tracemalloc.get_traced_memory()[0]
            for number in range(VALUES):
                assert store.get(b"key%d" % number) == number.to_bytes(4, "big") * (VALUE_BYTES // 4)
            after_get = tracemalloc.get_traced_memory()[0]
        with LogEngine.open(tmp_path, sync="none") as store:
            after_reopen = tracemalloc.get_traced_memory()[0]
            assert len(store) == VALUES
    finally:
        tracemalloc.stop()
    assert after_set - before < 2_000_000, "setting keeps the values"
    assert after_get - before < 2_000_000, "reading keeps the values"
    assert after_reopen - before < 2_000_000, "replaying keeps the values"


@pytest.mark.parametrize("is_reopened", [False, True], ids=["at once", "after a reopen"])
def test_value_is_read_from_the_file_and_checked(tmp_path: Path, *, is_reopened: bool) -> None:
    """A value that is damaged in the file while the store is open is noticed by get, and never served."""
    store = LogEngine.open(tmp_path, sync="none")
    store.set(b"key", b"a value to be damaged")
    store.set(b"other", b"a value to be left alone")
    if is_reopened:
        store.close()
        store = LogEngine.open(tmp_path, sync="none")
    with store:
        store.sync()
        damage(tmp_path, b"value to be damaged", b"value to be Damaged")
        with pytest.raises(kvs.CorruptRecordError) as caught:
            store.get(b"key")
        assert Path(caught.value.path).name in [path.name for path in segments(tmp_path)]
        assert store.get(b"other") == b"a value to be left alone"
        damage(tmp_path, b"value to be Damaged", b"value to be damaged")
        assert store.get(b"key") == b"a value to be damaged"


def test_failed_append_leaves_the_index_alone(tmp_path: Path) -> None:
    """The index changes after the append, not before: a set that is refused leaves the old value, and no new key."""
    with LogEngine.open(tmp_path, sync="none") as store:
        store.set(b"key", b"value")
        for key, value in ((b"key", None), (b"new", None), (b"k" * 65_536, b"value")):
            with pytest.raises((TypeError, kvs.InvalidKeyError)):
                store.set(key, value)  # type: ignore[arg-type]  # wrong ones are the point
        assert dict(store) == {b"key": b"value"}


def damage(directory: Path, old: bytes, new: bytes) -> None:
    """Replace bytes in whichever segment has them, in place."""
    for path in segments(directory):
        offset = without_room(path.read_bytes()).find(old)
        if offset >= 0:
            with path.open("r+b") as file:
                file.seek(offset)
                file.write(new)
            return
    pytest.fail(f"no segment holds {old!r}")
