"""Task 2.7: a torn tail is cut and nothing else is lost; rot is reported, and no wrong value is ever served."""

import random
from pathlib import Path

import pytest
from support.child import run_program
from support.directory import contents, flipped, put, segments, without_room
from support.history import History, random_steps
from support.target import Target

import kvs
from kvs import LogEngine

pytestmark = pytest.mark.task("2.7")

NEVER = 1 << 40
CRASHED_WRITER = """
import os, sys
from kvs import LogEngine
path, sync, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = LogEngine.open(path, sync=sync)
for number in range(count):
    store.set(b"key%d" % number, b"value %d" % number)
os._exit(0)
"""
"""Writes, and ends without closing, as a killed process does."""


def open_store(path: Path) -> LogEngine:
    """Open a store that is never compacted by itself."""
    return LogEngine.open(path, sync="none", segment_bytes=1024, compact_dead_bytes=NEVER)


def write(path: Path, history: History) -> dict[str, bytes]:
    """Write a history, close cleanly, and return the files."""
    with open_store(path) as store:
        for key, value in history.steps:
            if value is None:
                store.remove(key)
            else:
                store.set(key, value)
    return contents(path)


def test_torn_tail_is_cut_at_every_byte(scratch: Path, rng: random.Random) -> None:
    """Wherever the last segment ends, the store opens and holds a prefix of history, a longer one for a later cut."""
    history = History(random_steps(rng, 10))
    files = write(scratch / "whole", history)
    last = segments(scratch / "whole")[-1].name
    kept = 0
    for size in range(len(files[last]) + 1):
        path = put(scratch / "cut", files | {last: files[last][:size]})
        with open_store(path) as store:
            now = history.check(dict(store))
        assert history.states[now] == history.states[kept] or now > kept, f"cut at {size}, less is left than before"
        kept = now
    assert kept == len(history.steps), "the whole file holds the whole history"


def test_torn_tail_takes_only_the_torn_record(scratch: Path, rng: random.Random) -> None:
    """A cut within the last record loses that record and no other."""
    keys = [b"key%d" % number for number in range(20)]
    history = History([(key, rng.randbytes(30) + b"#") for key in keys])
    files = write(scratch / "whole", history)
    last = segments(scratch / "whole")[-1].name
    end = files[last].index(history.states[-1][keys[-1]])
    path = put(scratch / "cut", files | {last: files[last][: end + 20]})
    with open_store(path) as store:
        assert dict(store) == history.states[-2]


def test_writes_after_a_torn_tail_count(scratch: Path, rng: random.Random) -> None:
    """What is written after a torn tail was cut is found at the next reopen: the tail does not swallow it."""
    history = History(random_steps(rng, 10))
    files = write(scratch / "whole", history)
    last = segments(scratch / "whole")[-1].name
    for size in range(0, len(files[last]), 7):
        path = put(scratch / "cut", files | {last: files[last][:size]})
        with open_store(path) as store:
            state = dict(store)
            store.set(b"after", b"%d" % size)
            store.set(b"more", b"v" * 80)
        with open_store(path) as store:
            assert dict(store) == state | {b"after": b"%d" % size, b"more": b"v" * 80}, f"cut at {size}"


@pytest.mark.parametrize("tail", ["zeros", "noise", "half a record and zeros", "an old record"])
def test_tail_of_any_kind_is_cut(target: Target, scratch: Path, rng: random.Random, tail: str) -> None:
    """After a crash the log may end in anything: zeros, noise, a record in half. All before it is there."""
    run_program(target, CRASHED_WRITER, scratch / "store", "none", 10)
    files = contents(scratch / "store")
    last = segments(scratch / "store")[-1].name
    data = without_room(files[last])
    record = data[data.rindex(b"key9") - 20 : data.rindex(b"key9") + 20]
    junk = {
        "zeros": bytes(1000),
        "noise": rng.randbytes(100),
        "half a record and zeros": record[:30] + bytes(500),
        "an old record": record[1:] * 3,
    }
    room = files[last][len(data) + len(junk[tail]) :]  # of a store that allocates ahead, as a crash leaves it
    path = put(scratch / "torn", files | {last: data + junk[tail] + room})
    wanted = {b"key%d" % number: b"value %d" % number for number in range(10)}
    last_may_be_torn = History(list(wanted.items()))
    with open_store(path) as store:
        last_may_be_torn.check(dict(store), at_least=9)  # its last bytes may have been zeros, and cut by this test
        store.set(b"after", b"x")
    with open_store(path) as store:
        assert store.get(b"after") == b"x"


def test_cut_tail_is_not_cut_again(scratch: Path, rng: random.Random) -> None:
    """Recovery is done once: a second and a third open find what the first did."""
    history = History(random_steps(rng, 10))
    files = write(scratch / "whole", history)
    last = segments(scratch / "whole")[-1].name
    path = put(scratch / "cut", files | {last: files[last][: len(files[last]) * 2 // 3]})
    with open_store(path) as store:
        first = dict(store)
    for _ in range(2):
        with open_store(path) as store:
            assert dict(store) == first


def test_flipped_bits_never_lie(scratch: Path, rng: random.Random) -> None:
    """One flipped bit anywhere in a closed store: each key has its right value, or there is an error; never less."""
    history = History([*random_steps(rng, 14), (b"key1", b"last of all")])
    files = write(scratch / "whole", history)
    wanted, keys = history.states[-1], {key for key, _ in history.steps}
    for name, data in files.items():
        for offset in range(len(data)):
            bit = offset * 8 + rng.randrange(8)
            path = put(scratch / "rotten", files | {name: flipped(data, bit)})
            check_honest(path, wanted, keys, f"bit {bit % 8} of byte {offset} of {name}")


def check_honest(path: Path, wanted: dict[bytes, bytes], keys: set[bytes], where: str) -> None:
    """Check that a damaged store tells the truth or fails to tell anything."""
    __tracebackhide__ = True
    try:
        store = LogEngine.open(path, flag="r")
    except kvs.StorageError:
        return
    with store:
        for key in keys:
            try:
                found = store.get(key)
            except kvs.StorageError:
                continue
            assert found == wanted.get(key), f"{where} was flipped, and {key!r} is {found!r}, not {wanted.get(key)!r}"


def test_rot_is_reported_with_its_place(scratch: Path) -> None:
    """A flipped bit in a value is a CorruptRecordError that names file and offset, at open or at get."""
    write(scratch, History([(b"key%d" % number, b"value %d" % number) for number in range(5)]))
    [segment] = segments(scratch)
    data = segment.read_bytes()
    at = data.index(b"value 2")
    segment.write_bytes(flipped(data, at * 8))
    with pytest.raises(kvs.CorruptRecordError) as caught, open_store(scratch) as store:
        store.get(b"key2")
    assert Path(caught.value.path).name == segment.name
    assert at - 64 <= caught.value.offset <= at
    assert segment.name in str(caught.value)


def test_rot_before_a_torn_tail_is_reported(target: Target, scratch: Path) -> None:
    """After a crash, a bad record that later ones vouch for is rot, not a torn tail: nothing is cut in silence."""
    run_program(target, CRASHED_WRITER, scratch, "always", 20)
    last = segments(scratch)[-1]
    data = last.read_bytes()
    for number in (0, 3, 10):
        damaged = flipped(data, data.index(b"value %d" % number) * 8)
        last.write_bytes(damaged)
        with pytest.raises(kvs.CorruptRecordError), open_store(scratch) as store:
            store.get(b"key%d" % number)
        assert last.read_bytes()[: len(without_room(data))] == damaged[: len(without_room(data))], "nothing was cut"


def test_missing_end_of_an_older_segment_is_reported(scratch: Path) -> None:
    """Only the last segment may have a torn tail: a cut in an older one is damage, and is reported."""
    with open_store(scratch) as store:
        for number in range(60):
            store.set(b"key%d" % number, b"value %d" % number * 10)
    first = segments(scratch)[0]
    first.write_bytes(first.read_bytes()[:-40])
    with pytest.raises(kvs.StorageError), open_store(scratch) as store:
        assert dict(store) is None, "opened and read as if nothing had been cut"


def test_unknown_format_version_is_refused(scratch: Path) -> None:
    """A store in a later format is refused by UnsupportedFormatError, and not one of its bytes is touched.

    Somewhere among the first bytes of its files stands the version; raising it by one makes a store of the future.
    """
    files = write(scratch / "whole", History([(b"key", b"value")]))
    for name in sorted(files, key=lambda name: len(files[name])):
        for offset in range(min(len(files[name]), 64)):
            data = bytearray(files[name])
            data[offset] = (data[offset] + 1) % 256
            path = put(scratch / "later", files | {name: bytes(data)})
            try:
                open_store(path).close()
            except kvs.UnsupportedFormatError:
                after = contents(path)
                locks = {other for other in after if "lock" in other.lower()}
                assert {other: after[other] for other in after.keys() - locks} == {
                    other: bytes(data) if other == name else files[other] for other in files.keys() - locks
                }
                return
            except kvs.StorageError:
                pass
    pytest.fail("no byte of the store's files names the version of their format")
