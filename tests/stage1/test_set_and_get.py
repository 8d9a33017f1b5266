"""Task 1.1: what is set is what one gets, whatever bytes it is made of."""

import random

import pytest

from kvs import MemoryEngine

pytestmark = pytest.mark.task("1.1")


def test_keys_are_independent(rng: random.Random) -> None:
    """Setting one key leaves all others as they were."""
    store = MemoryEngine()
    pairs = {rng.randbytes(rng.randrange(1, 9)): rng.randbytes(rng.randrange(20)) for _ in range(500)}
    for key, value in pairs.items():
        store.set(key, value)
    assert {key: store.get(key) for key in pairs} == pairs


def test_stores_are_independent() -> None:
    """Two stores share nothing: what one holds the other does not."""
    one, other = MemoryEngine(), MemoryEngine()
    one.set(b"key", b"value")
    assert other.get(b"key") is None


def test_empty_value_is_a_value() -> None:
    """An empty value is stored and found; it is not the same as no value."""
    store = MemoryEngine()
    store.set(b"key", b"")
    assert store.get(b"key") == b""
    assert store.get(b"key", b"default") == b""


def test_empty_key_is_a_key() -> None:
    """The empty key is a key like any other."""
    store = MemoryEngine()
    assert store.get(b"") is None
    store.set(b"", b"value")
    assert store.get(b"") == b"value"


def test_every_byte_can_stand_in_keys_and_values() -> None:
    """NUL, newline, quotes, bytes that are no text: all of them are legal everywhere."""
    store = MemoryEngine()
    for number in range(256):
        store.set(bytes([number]), bytes([number, 0, 255 - number]))
    for number in range(256):
        assert store.get(bytes([number])) == bytes([number, 0, 255 - number])


def test_similar_keys_differ() -> None:
    """Keys are compared byte by byte: case, spaces, a NUL at the end and the way of writing é all count."""
    keys = [b"a", b"A", b"a ", b" a", b"a\0", b"a\n", "é".encode(), "e\u0301".encode(), "é".encode("latin-1")]
    store = MemoryEngine()
    for number, key in enumerate(keys):
        store.set(key, b"%d" % number)
    assert [store.get(key) for key in keys] == [b"%d" % number for number in range(len(keys))]


def test_get_returns_the_default_for_a_missing_key() -> None:
    """get(key, default) returns the default when there is no such key, and does not store it."""
    store = MemoryEngine()
    assert store.get(b"key", b"default") == b"default"
    assert store.get(b"key") is None


@pytest.mark.parametrize(
    "wrong", ["text", 7, None, bytearray(b"bytes"), 1.5, [b"k"]], ids=lambda wrong: type(wrong).__name__
)
def test_types_are_refused(wrong: object) -> None:
    """Keys and values are bytes; anything else is a TypeError that names the type, and nothing is stored."""
    store = MemoryEngine()
    for refused in (lambda: store.set(wrong, b"value"), lambda: store.set(b"key", wrong), lambda: store.get(wrong)):  # type: ignore[arg-type,call-overload]  # wrong types are the point
        with pytest.raises(TypeError, match=type(wrong).__name__):
            refused()
    assert store.get(b"key") is None
