"""Extensions of stage 2: scans in key order, batches, hint files. They gate nothing."""

import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.directory import contents, flipped, put

import kvs
from kvs import Engine, LogEngine, MemoryEngine

pytestmark = [pytest.mark.task("2.9"), pytest.mark.extension]

MAKERS: dict[str, Callable[[Path], Engine]] = {
    "memory": lambda _: MemoryEngine(),
    "log": lambda path: LogEngine.open(path, sync="none", segment_bytes=2048),
}


@pytest.fixture(params=MAKERS)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """Return an empty store of each kind."""
    with MAKERS[request.param](tmp_path) as made:
        yield made


def test_scan_is_in_key_order(engine: Engine, rng: random.Random) -> None:
    """scan() gives keys and values in the order of the keys' bytes, also after later writes and removes."""
    model: dict[bytes, bytes] = {}
    for _ in range(5):
        for _ in range(60):
            key = rng.randbytes(rng.randrange(4))
            engine[key] = model[key] = rng.randbytes(5)
        for key in rng.sample(sorted(model), 10):
            engine.remove(key)
            del model[key]
        assert list(engine.scan()) == sorted(model.items())
        assert list(engine.scan(reverse=True)) == sorted(model.items(), reverse=True)


def test_scan_has_bounds(engine: Engine) -> None:
    """A scan begins with `start`, ends before `stop`, keeps to a prefix, and stops at a limit."""
    for key in (b"", b"a", b"ab", b"abc", b"b", b"\xff", b"\xff\xff"):
        engine[key] = key
    everything = list(engine.scan())
    assert [key for key, _ in everything] == [b"", b"a", b"ab", b"abc", b"b", b"\xff", b"\xff\xff"]
    assert list(engine.scan(start=b"ab")) == everything[2:]
    assert list(engine.scan(stop=b"ab")) == everything[:2]
    assert list(engine.scan(b"a", b"b")) == everything[1:4]
    assert list(engine.scan(prefix=b"ab")) == everything[2:4]
    assert list(engine.scan(prefix=b"\xff")) == everything[5:]
    assert list(engine.scan(prefix=b"a", limit=2)) == everything[1:3]
    assert list(engine.scan(reverse=True, limit=2)) == everything[:4:-1]
    assert list(engine.scan(limit=0)) == list(engine.scan(b"b", b"a")) == []
    with pytest.raises(ValueError, match="limit"):
        list(engine.scan(limit=-1))


def test_batch_is_applied_as_one(engine: Engine) -> None:
    """write() applies sets and removes together; of several steps on one key the last counts."""
    engine[b"old"] = b"value"
    engine.write([(b"a", b"1"), (b"old", None), (b"a", b"2"), (b"never there", None), (b"b", b"")])
    assert dict(engine) == {b"a": b"2", b"b": b""}


def test_refused_batch_changes_nothing(engine: Engine) -> None:
    """A batch with one wrong step is refused whole."""
    engine[b"a"] = b"1"
    with pytest.raises(TypeError):
        engine.write([(b"a", b"2"), (b"b", b"3"), ("c", b"4")])  # type: ignore[list-item]  # a wrong type is the point
    with pytest.raises(kvs.InvalidKeyError):
        engine.write([(b"a", b"2"), (b"k" * 65_536, b"3")])
    assert dict(engine) == {b"a": b"1"}


def test_torn_batch_is_gone_whole(scratch: Path) -> None:
    """Wherever the log ends, a batch is there with all its steps or with none."""
    with LogEngine.open(scratch / "whole", sync="none") as store:
        store.set(b"a", b"0")
        store.write([(b"a", b"1"), (b"b", b"1"), (b"c", b"1")])
    files = contents(scratch / "whole")
    [segment] = [name for name in files if name.endswith(".data")]
    seen = set()
    for size in range(len(files[segment]) + 1):
        path = put(scratch / "cut", files | {segment: files[segment][:size]})
        with LogEngine.open(path, sync="none") as store:
            seen.add(tuple(sorted(dict(store).items())))
    before, after = ((b"a", b"0"),), ((b"a", b"1"), (b"b", b"1"), (b"c", b"1"))
    assert seen == {(), before, after}


def test_damaged_hints_cost_nothing_but_time(scratch: Path, rng: random.Random) -> None:
    """Without hint files, and with damaged ones, the store opens with the same contents."""
    with LogEngine.open(scratch / "whole", sync="none", segment_bytes=100_000) as store:
        for number in range(3_000):
            store.set(b"key%d" % number, bytes(100))
        store.compact()
        wanted = dict(store)
    files = contents(scratch / "whole")
    hints = [name for name in files if name.endswith(".hint")]
    if not hints:
        pytest.skip("this store keeps no hint files")
    without = {name: data for name, data in files.items() if name not in hints}
    damaged = {name: flipped(files[name], rng.randrange(8 * len(files[name]))) for name in hints}
    halved = {name: files[name][: len(files[name]) // 2] for name in hints}
    for variant in (without, files | damaged, files | halved, files | dict.fromkeys(hints, b"")):
        with LogEngine.open(put(scratch / "variant", variant), flag="r") as store:
            assert dict(store) == wanted
