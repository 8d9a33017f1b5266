"""Task 1.2: values are replaced and removed, and mistakes are told by errors that can be caught."""

import pytest

import kvs
from kvs import MemoryEngine

pytestmark = pytest.mark.task("1.2")


def test_overwriting_leaves_one_value() -> None:
    """A key has one value however often it is set, and a shorter one replaces a longer."""
    store = MemoryEngine()
    for value in (b"first", b"", b"a longer value than before", b"x"):
        store.set(b"key", value)
        assert store.get(b"key") == value
    store.remove(b"key")
    assert store.get(b"key") is None, "no older value comes back"


def test_remove_leaves_the_others() -> None:
    """Removing a key removes that key only."""
    store = MemoryEngine()
    for key in (b"a", b"ab", b"b"):
        store.set(key, key * 2)
    store.remove(b"a")
    assert (store.get(b"a"), store.get(b"ab"), store.get(b"b")) == (None, b"abab", b"bb")


def test_removed_key_can_be_set_again() -> None:
    """A removed key is as good as new."""
    store = MemoryEngine()
    store.set(b"key", b"old")
    store.remove(b"key")
    store.set(b"key", b"new")
    assert store.get(b"key") == b"new"


def test_remove_of_a_missing_key_raises() -> None:
    """Removing what is not there raises KeyNotFoundError, which is a KeyError too and knows the key."""
    store = MemoryEngine()
    with pytest.raises(kvs.KeyNotFoundError) as caught:
        store.remove(b"missing")
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, kvs.KvsError)
    assert caught.value.key == b"missing"
    assert "missing" in str(caught.value)


def test_second_remove_raises() -> None:
    """A key can be removed once."""
    store = MemoryEngine()
    store.set(b"key", b"value")
    store.remove(b"key")
    with pytest.raises(kvs.KeyNotFoundError):
        store.remove(b"key")


def test_key_with_an_empty_value_can_be_removed() -> None:
    """A key whose value is empty is there, and can be removed."""
    store = MemoryEngine()
    store.set(b"key", b"")
    store.remove(b"key")
    assert store.get(b"key") is None


def test_remove_refuses_other_types() -> None:
    """A key that is not bytes is a TypeError, not a missing key."""
    with pytest.raises(TypeError, match="str"):
        MemoryEngine().remove("key")  # type: ignore[arg-type]  # a wrong type is the point


def test_longest_key_fits_and_a_longer_one_is_refused() -> None:
    """A key has at most 65,535 bytes; the error for a longer one is a ValueError that names limit and size."""
    store = MemoryEngine()
    store.set(b"k" * 65_535, b"value")
    assert store.get(b"k" * 65_535) == b"value"
    with pytest.raises(kvs.InvalidKeyError, match=r"65,?535.*65,?536") as caught:
        store.set(b"k" * 65_536, b"value")
    assert isinstance(caught.value, ValueError)
    assert store.get(b"k" * 65_535) == b"value", "what was there stays"


def test_errors_have_one_root() -> None:
    """Whoever catches KvsError catches every error of the package."""
    names = [name for name in dir(kvs) if name.endswith("Error")]
    assert {"KeyNotFoundError", "StoreClosedError", "InvalidKeyError", "InvalidValueError", "StorageError"} <= set(
        names
    )
    assert all(issubclass(getattr(kvs, name), kvs.KvsError) for name in names)


def test_use_after_close_raises() -> None:
    """After close() every call raises StoreClosedError, also a get of a key that was there."""
    store = MemoryEngine()
    store.set(b"key", b"value")
    store.close()
    for use in (
        lambda: store.get(b"key"),
        lambda: store.set(b"key", b"value"),
        lambda: store.remove(b"key"),
        lambda: len(store),
        lambda: b"key" in store,
        lambda: list(store),
    ):
        with pytest.raises(kvs.StoreClosedError):
            use()


def test_closing_twice_is_fine() -> None:
    """close() may be called again; it then does nothing."""
    store = MemoryEngine()
    store.close()
    store.close()


def test_with_closes_the_store() -> None:
    """A `with` block closes its store at the end, also when the block raises, and lets the error through."""
    with pytest.raises(ZeroDivisionError), MemoryEngine() as store:
        store.set(b"key", b"%d" % (1 // 0))
    with pytest.raises(kvs.StoreClosedError):
        store.get(b"key")
