"""Task 1.3: a store is a mutable mapping, so whatever works with a dict of bytes works with it."""

import random
import shelve
import threading
from collections.abc import MutableMapping

import pytest

import kvs
from kvs import MemoryEngine

pytestmark = pytest.mark.task("1.3")


def test_is_a_mutable_mapping() -> None:
    """An engine is a MutableMapping, for isinstance too."""
    assert isinstance(MemoryEngine(), MutableMapping)


def test_brackets_get_set_and_delete() -> None:
    """store[key], store[key] = value and del store[key] do what they do to a dict."""
    store = MemoryEngine()
    store[b"key"] = b"value"
    assert store[b"key"] == b"value"
    del store[b"key"]
    assert b"key" not in store


def test_brackets_raise_for_a_missing_key() -> None:
    """store[key] and del store[key] raise KeyNotFoundError for a missing key, where get returns None."""
    store = MemoryEngine()
    with pytest.raises(kvs.KeyNotFoundError):
        store[b"missing"]
    with pytest.raises(kvs.KeyNotFoundError):
        del store[b"missing"]


def test_brackets_find_an_empty_value() -> None:
    """An empty value is a value, for brackets too."""
    store = MemoryEngine()
    store[b"key"] = b""
    assert store[b"key"] == b""
    assert b"key" in store


def test_len_counts_keys() -> None:
    """len() is the number of keys: overwriting adds none, removing takes one."""
    store = MemoryEngine()
    assert len(store) == 0
    store[b"a"] = b"1"
    store[b"b"] = b"2"
    store[b"a"] = b"3"
    assert len(store) == 2
    del store[b"a"]
    assert len(store) == 1


def test_iteration_gives_each_key_once() -> None:
    """Iterating gives every key once, and no removed one."""
    store = MemoryEngine()
    for key in (b"a", b"b", b"a", b"c"):
        store[key] = b"value"
    del store[b"b"]
    assert sorted(store) == [b"a", b"c"]
    assert sorted(store.items()) == [(b"a", b"value"), (b"c", b"value")]
    assert list(store.values()) == [b"value", b"value"]


def test_dict_and_update() -> None:
    """dict(store) takes everything out, store.update() takes a mapping or pairs in."""
    store = MemoryEngine()
    store.update({b"a": b"1", b"b": b"2"})
    store.update([(b"b", b"3"), (b"c", b"4")])
    assert dict(store) == {b"a": b"1", b"b": b"3", b"c": b"4"}


def test_pop_setdefault_and_clear() -> None:
    """The mapping's further methods follow from the first few."""
    store = MemoryEngine()
    assert store.setdefault(b"a", b"1") == b"1"
    assert store.setdefault(b"a", b"2") == b"1"
    assert store.pop(b"a") == b"1"
    assert store.pop(b"a", None) is None
    store[b"b"] = b"3"
    store.clear()
    assert dict(store) == {}


def test_membership_of_another_type_is_false_or_refused() -> None:
    """A key of another type is in no store, whichever way that is said."""
    store = MemoryEngine()
    store[b"key"] = b"value"
    try:
        found = store.__contains__("key")
    except TypeError:
        found = False
    assert not found


def test_shelf_stands_on_a_store() -> None:
    """shelve.Shelf, from the standard library, keeps Python objects in any such mapping."""
    shelf: shelve.Shelf[object] = shelve.Shelf(MemoryEngine())
    shelf["menu"] = {"soup": 3, "cake": [1, 2]}
    assert shelf["menu"] == {"soup": 3, "cake": [1, 2]}
    assert list(shelf) == ["menu"]


def test_agrees_with_a_dict(rng: random.Random) -> None:
    """After each of 3,000 random steps the store answers as a dict does."""
    store, model = MemoryEngine(), dict[bytes, bytes]()
    for _ in range(3_000):
        key = rng.choice([b"", b"a", b"b", b"ab", b"\0"])
        match rng.randrange(4):
            case 0 | 1:
                store[key] = model[key] = rng.randbytes(rng.randrange(4))
            case 2:
                assert store.pop(key, None) == model.pop(key, None)
            case _:
                assert store.get(key) == model.get(key)
        assert len(store) == len(model)
    assert dict(store) == model


def test_threads_may_write_at_once() -> None:
    """Eight threads that write keys of their own lose none of them."""
    store = MemoryEngine()

    def write(owner: int) -> None:
        for number in range(200):
            store[b"%d-%d" % (owner, number)] = b"%d" % number

    threads = [threading.Thread(target=write, args=(owner,)) for owner in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=10)
    assert len(store) == 8 * 200
