"""Extensions of task 3.4: what engines may do beyond what the stage asks for. They gate nothing."""

import random
from pathlib import Path
from typing import Any

import pytest
from support.engines import every_engine, filled

import kvs

pytestmark = [pytest.mark.task("3.4"), pytest.mark.extension]


@every_engine
def test_scan_is_in_key_order(scratch: Path, engine: str, rng: random.Random) -> None:
    """scan() gives the pairs in the order of the keys' bytes, within its bounds, from either end."""
    model: dict[bytes, bytes] = {}
    with kvs.open(scratch, engine) as store:
        for _ in range(400):
            key = rng.randbytes(rng.randrange(4))
            store.set(key, key[::-1])
            model[key] = key[::-1]
        store.remove(max(model))
        del model[max(model)]
        pairs = sorted(model.items())
        assert list(store.scan()) == pairs
        assert list(store.scan(reverse=True)) == pairs[::-1]
        assert list(store.scan(limit=7)) == pairs[:7]
        assert list(store.scan(reverse=True, limit=7)) == pairs[:-8:-1]
        for _ in range(30):
            start, stop, prefix = (rng.randbytes(rng.randrange(3)) for _ in range(3))
            assert list(store.scan(start, stop)) == [pair for pair in pairs if start <= pair[0] < stop]
            assert list(store.scan(prefix=prefix)) == [pair for pair in pairs if pair[0].startswith(prefix)]


@every_engine
def test_scan_shows_the_keys_of_its_beginning(scratch: Path, engine: str) -> None:
    """Keys that come while a scan is under way are not shown, keys that go before it gets there are not either."""
    with kvs.open(scratch, engine) as store:
        store.update({b"%04d" % number: b"" for number in range(0, 2_000, 2)})
        steps = store.scan()
        assert next(steps) == (b"0000", b"")
        store.update({b"%04d" % number: b"" for number in range(1, 2_000, 2)})
        store.remove(b"1998")
        assert [key for key, _ in steps] == [b"%04d" % number for number in range(2, 1_998, 2)]


@every_engine
def test_batch_is_applied_as_one(scratch: Path, engine: str) -> None:
    """write() applies all of its steps or, when one is wrong, none; of several on one key the last counts."""
    wrong: Any = "text"
    with kvs.open(scratch, engine) as store:
        store.set(b"old", b"value")
        store.write([(b"a", b"1"), (b"old", None), (b"a", b"2"), (b"never there", None), (b"b", b"")])
        assert dict(store) == {b"a": b"2", b"b": b""}
        with pytest.raises(TypeError):
            store.write([(b"a", None), (b"c", wrong)])
        assert dict(store) == {b"a": b"2", b"b": b""}


@every_engine
def test_readers_may_be_several(scratch: Path, engine: str) -> None:
    """With flag "r" several may read at once and none may write; where there is no store, none is made."""
    filled(scratch / "store", engine)
    with (
        kvs.open(scratch / "store", engine, flag="r") as one,
        kvs.open(scratch / "store", engine, flag="r") as two,
    ):
        assert one.get(b"made by") == two.get(b"made by") == engine.encode()
        with pytest.raises(kvs.WritesRefusedError):
            one.set(b"key", b"value")
        with pytest.raises(kvs.StoreLockedError):
            kvs.open(scratch / "store", engine)
    with pytest.raises(kvs.StoreMissingError):
        kvs.open(scratch / "none", engine, flag="r")
    assert not (scratch / "none").exists()
