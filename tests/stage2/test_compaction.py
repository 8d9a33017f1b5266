"""Task 2.6: dead bytes are counted, and given back, and nothing else is."""

import json
import random
from pathlib import Path

import pytest
from support.cli import Cli
from support.contract import Case, cases
from support.directory import segments, total_bytes

from kvs import LogEngine

pytestmark = pytest.mark.task("2.6")

SEGMENT_BYTES = 4096
NEVER = 1 << 40


def open_small(path: Path, *, compact_dead_bytes: int = NEVER) -> LogEngine:
    """Open a store with small segments."""
    return LogEngine.open(
        path,
        sync="none",
        segment_bytes=SEGMENT_BYTES,
        compact_dead_bytes=compact_dead_bytes,
        compact_dead_ratio=0.5,
    )


def test_dead_bytes_are_counted(scratch: Path) -> None:
    """Overwriting and removing make bytes dead; stats() tells how many, and tells the same after a reopen."""
    with open_small(scratch) as store:
        store.set(b"a", b"v" * 1000)
        store.set(b"b", b"v" * 1000)
        one = store.stats()
        assert one.keys == 2
        assert 2000 <= one.live_bytes < 2200
        assert one.dead_bytes < 200
        store.set(b"a", b"v" * 500)
        two = store.stats()
        assert two.keys == 2
        assert 1500 <= two.live_bytes < 1700
        assert 1000 <= two.dead_bytes < 1200
        store.remove(b"b")
        three = store.stats()
        assert three.keys == 1
        assert 500 <= three.live_bytes < 700
        assert 2000 <= three.dead_bytes < 2300
    with open_small(scratch) as store:
        again = store.stats()
    assert (again.keys, again.live_bytes) == (three.keys, three.live_bytes)
    assert abs(again.dead_bytes - three.dead_bytes) < 100


def test_compact_gives_the_bytes_back(scratch: Path) -> None:
    """compact() leaves what is live, in about as many bytes as that needs, at once and after a reopen."""
    with open_small(scratch) as store:
        for round_number in range(40):
            for number in range(10):
                store.set(b"key%d" % number, b"%d" % round_number * 50)
        store.remove(b"key0")
    before = total_bytes(scratch)
    wanted = {b"key%d" % number: b"39" * 50 for number in range(1, 10)}
    with open_small(scratch) as store:
        store.compact()
        assert dict(store) == wanted
        assert store.stats().dead_bytes < 300
    after = total_bytes(scratch)
    assert after < before / 10
    assert after < 9 * 100 + 1500
    with open_small(scratch) as store:
        assert dict(store) == wanted


def test_compaction_comes_by_itself(scratch: Path) -> None:
    """A store that is overwritten all the time stays small: the directory is bounded, at every moment."""
    most_bytes = 0
    with open_small(scratch, compact_dead_bytes=32 * 1024) as store:
        for number in range(10_000):
            store.set(b"key%d" % (number % 50), b"%d" % number * 20)
            if number % 250 == 0:
                most_bytes = max(most_bytes, total_bytes(scratch))
    with open_small(scratch) as store:
        assert dict(store) == {b"key%d" % (number % 50): b"%d" % number * 20 for number in range(9_950, 10_000)}
    assert most_bytes < 8 * 32 * 1024, "10,000 writes are 1 MB; the live ones among them are 6 kB"


def test_compaction_waits_for_both_thresholds(scratch: Path) -> None:
    """Nothing is merged while dead bytes are few: neither below compact_dead_bytes, nor below the ratio."""
    with open_small(scratch, compact_dead_bytes=1 << 20) as store:
        for number in range(500):
            store.set(b"key", b"%d" % number * 20)
        assert store.stats().dead_bytes > 20_000, "below compact_dead_bytes"
    live = {b"live%d" % number: bytes(1000) for number in range(100)}
    with open_small(scratch / "other", compact_dead_bytes=1000) as store:
        for key, value in live.items():
            store.set(key, value)
        for number in range(200):
            store.set(b"key", b"%d" % number * 40)
        assert store.stats().dead_bytes > 10_000, "below the ratio"


def test_removed_key_does_not_come_back(scratch: Path) -> None:
    """A key removed before a compaction is absent after it, and after a reopen, and after another compaction."""
    with open_small(scratch) as store:
        for number in range(100):
            store.set(b"key%d" % number, b"v" * 100)
        for number in range(0, 100, 2):
            store.remove(b"key%d" % number)
        store.compact()
        assert b"key0" not in store
    wanted = sorted(b"key%d" % number for number in range(1, 100, 2))
    for _ in range(2):
        with open_small(scratch) as store:
            assert sorted(store) == wanted
            store.compact()
    with open_small(scratch) as store:
        assert sorted(store) == wanted


def test_removed_keys_stay_removed_whatever_is_merged(scratch: Path, rng: random.Random) -> None:
    """Values in old segments, tombstones in newer ones, merges by themselves and at command: nothing comes back."""
    model: dict[bytes, bytes] = {}
    for _ in range(12):
        with open_small(scratch, compact_dead_bytes=rng.choice([2_000, 10_000, NEVER])) as store:
            assert dict(store) == model
            for number in range(150):
                key = b"key%d" % rng.randrange(40)
                if key in model and rng.random() < 0.4:
                    store.remove(key)
                    del model[key]
                else:
                    model[key] = b"%d" % number * rng.randrange(1, 60)
                    store.set(key, model[key])
            if rng.random() < 0.4:
                store.compact()
            assert dict(store) == model
    with open_small(scratch) as store:
        assert dict(store) == model


def test_writes_go_on_after_a_compaction(scratch: Path) -> None:
    """After a compaction the store is as before: it takes writes, which count over what was merged."""
    with open_small(scratch) as store:
        for number in range(100):
            store.set(b"key%d" % number, b"old" * 30)
        for round_number in range(3):
            store.compact()
            store.set(b"key1", b"new%d" % round_number)
            store.remove(b"key%d" % (round_number + 10))
            store.set(b"key%d" % (round_number + 20), b"newer")
    with open_small(scratch) as store:
        assert len(store) == 97
        assert store.get(b"key1") == b"new2"
        assert [store.get(b"key%d" % number) for number in (10, 11, 12)] == [None] * 3
        assert [store.get(b"key%d" % number) for number in (20, 21, 22)] == [b"newer"] * 3


def test_compacting_nothing_is_fine(scratch: Path) -> None:
    """An empty store, and one in which all was removed, are compacted to nothing; repeating it adds no files."""
    with open_small(scratch) as store:
        store.compact()
        for number in range(100):
            store.set(b"key%d" % number, b"v" * 100)
        for number in range(100):
            store.remove(b"key%d" % number)
        for _ in range(5):
            store.compact()
        assert dict(store) == {}
    assert total_bytes(scratch) < 2_000
    assert len(segments(scratch)) <= 3
    with open_small(scratch) as store:
        assert dict(store) == {}


def test_foreign_files_are_left_alone(scratch: Path) -> None:
    """Files that are not the store's stay as they are, through writes, compaction and reopening."""
    foreign = {"notes.txt": b"mine", "photo.jpg": b"\xff\xd8", "table.csv": b"a,b", ".hidden": b"x", "data": b"y"}
    for name, data in foreign.items():
        (scratch / name).write_bytes(data)
    (scratch / "folder").mkdir()
    (scratch / "folder" / "1.data").write_bytes(b"not a segment")
    for _ in range(2):
        with open_small(scratch) as store:
            for number in range(200):
                store.set(b"key%d" % (number % 5), bytes(100))
            store.compact()
    assert {name: (scratch / name).read_bytes() for name in foreign} == foreign
    assert (scratch / "folder" / "1.data").read_bytes() == b"not a segment"


@pytest.mark.blackbox
def test_cli_compact_shrinks_the_directory(cli: Cli) -> None:
    """`kvs compact` gives back what `kvs stats --json` calls dead, and keeps the values."""
    script = "".join(f"set key {'x' * 200}{number}\n" for number in range(200))
    cli("repl", stdin=script.encode()).expect(stdout=b"", stderr=b"")
    before, size_before = json.loads(cli("stats", "--json").expect(stderr=b"").stdout), total_bytes(cli.directory)
    assert before["keys"] == 1
    assert before["dead_bytes"] > 30_000
    cli("compact").expect()
    after, size_after = json.loads(cli("stats", "--json").expect(stderr=b"").stdout), total_bytes(cli.directory)
    assert (after["keys"], after["live_bytes"]) == (1, before["live_bytes"])
    assert after["dead_bytes"] < 1_000
    assert size_after < size_before / 4
    cli("get", "key").expect(stdout=b"x" * 200 + b"199\n")


@pytest.mark.blackbox
@pytest.mark.parametrize("case", cases(stage=2))
def test_contract(cli: Cli, case: Case) -> None:
    """Each case of stages/contract.toml holds: its `check` says what is true when it does."""
    case.run(cli)
