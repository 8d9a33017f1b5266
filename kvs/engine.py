"""The engine contract: what every store promises, whatever keeps its bytes.

An engine is a mutable mapping from bytes to bytes. Whatever works with such a mapping works with an engine:
`dict(engine)`, `engine.update(other)`, `shelve.Shelf(engine)`.

Invariants:
    1. A `get` after a `set` that returned, with no other write of the key between, returns that value.
    2. Keys and values are bytes, any bytes, the empty ones included. `str` exists in the command line only.
    3. `write(ops)` is all or nothing, to other threads and after a crash.
    4. After `close()` every call but `close()` raises StoreClosedError.

Threads: every method may be called from any thread.
"""

from abc import abstractmethod
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, MutableMapping, ValuesView
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain
from types import NoneType, TracebackType
from typing import Final, Self, TypeAlias, TypeVar, overload

from kvs.errors import InvalidKeyError, InvalidValueError, KeyNotFoundError

MAX_KEY_BYTES: Final = 65_535
MAX_VALUE_BYTES: Final = 512 * 1024 * 1024

T = TypeVar("T")
Op: TypeAlias = tuple[bytes, bytes | None]
"""One step of a batch: a key with its new value, or with None to remove the key if it is there."""
Progress: TypeAlias = Callable[[int, int], None]
"""Called now and then by long work with what is done and what there is in all, in bytes."""


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What any engine can say of itself; an engine with more to say extends this.

    Args:
        engine: the engine's name, as in `kvs.open(path, engine=NAME)`.
        keys: how many keys have a value.
        live_bytes: bytes that the current values need, with their keys and whatever frames them.
        dead_bytes: bytes that a compaction would give back.
    """

    engine: str
    keys: int
    live_bytes: int
    dead_bytes: int


class Engine(MutableMapping[bytes, bytes]):
    """A key-value store. Subclasses keep the bytes; this class keeps the promises they share."""

    name: str
    """The engine's name in `kvs.open(path, engine=NAME)` and on the command line."""

    @abstractmethod
    def set(self, key: bytes, value: bytes) -> None:
        """Store `value` under `key`, replacing what was there.

        Raises:
            TypeError: key or value is not bytes.
            InvalidKeyError, InvalidValueError: beyond MAX_KEY_BYTES, MAX_VALUE_BYTES.
        """

    @overload
    def get(self, key: bytes, default: None = None) -> bytes | None: ...
    @overload
    def get(self, key: bytes, default: bytes | T) -> bytes | T: ...
    @abstractmethod
    def get(self, key: bytes, default: T | None = None) -> bytes | T | None:
        """Return the value stored under `key`, or `default` when there is none.

        Under a key too long to be stored there is none. Another type than bytes is a TypeError.
        """

    @abstractmethod
    def remove(self, key: bytes) -> None:
        """Remove `key` and its value.

        Raises:
            KeyNotFoundError: there is no such key.
            InvalidKeyError: nor can there be one, it is too long.
        """

    @abstractmethod
    def scan(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        *,
        prefix: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Walk keys and values in key order, comparing keys byte by byte.

        The keys are those present when the walk begins; one that is removed meanwhile is left out, and a
        value is the one current when the walk reaches its key.

        Args:
            start: the first key wanted, itself included.
            stop: the first key no longer wanted.
            prefix: only keys that begin with these bytes.
            limit: at most so many pairs.
            reverse: from the last key to the first, within the same bounds.

        Raises:
            ValueError: the limit is negative.
        """

    @abstractmethod
    def write(self, ops: Iterable[Op]) -> None:
        """Apply several sets and removes as one: all of them or none, also after a crash.

        Of several steps on one key the last counts. Removing a key that is not there is no error here.

        Args:
            ops: pairs of key and value; a value of None removes the key.
        """

    def sync(self) -> None:
        """Return when every write so far is on the disk itself. An engine without a disk has nothing to do."""

    def compact(self) -> None:
        """Give back the bytes of values that were replaced or removed. Nothing to do where none are kept."""

    @abstractmethod
    def stats(self) -> EngineStats:
        """Return the engine's figures of this moment."""

    @abstractmethod
    def close(self) -> None:
        """Make everything durable and let go of the store. Closing twice is fine."""

    # What follows is the mapping, made of the above.

    def __getitem__(self, key: bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyNotFoundError(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.set(key, value)

    def __delitem__(self, key: bytes) -> None:
        self.remove(key)

    def update(  # type: ignore[override]  # keys are bytes, so the mapping's **kwargs form has no use here
        self, other: Mapping[bytes, bytes] | Iterable[tuple[bytes, bytes]] = (), /
    ) -> None:
        """Store all pairs of a mapping, or of an iterable of pairs, in one atomic write."""
        pairs = dict(other)
        if None in pairs.values():  # to `write` that is a removal; a mapping's update has none
            raise TypeError("a value is bytes, not NoneType")
        self.write(pairs.items())

    @overload
    def pop(self, key: bytes, /) -> bytes: ...
    @overload
    def pop(self, key: bytes, /, default: bytes | T) -> bytes | T: ...
    def pop(self, key: bytes, /, *default: T, **named: T) -> bytes | T:
        """Remove `key` and return its value, or the default when there is none.

        Of two threads that pop the same key one gets the value. A third that sets it meanwhile may see its new value
        go and the old one returned: these are two steps, not one.

        Raises:
            KeyNotFoundError: there is no such key, and no default.
        """
        value = self.get(key)
        if value is not None:
            with suppress(KeyNotFoundError):
                self.remove(key)
                return value
        for fallback in (*default, *named.values()):
            return fallback
        raise KeyNotFoundError(key)

    def clear(self) -> None:
        """Remove every key, in one atomic write."""
        self.write([(key, None) for key in self])

    def values(self) -> ValuesView[bytes]:
        """Return a view of the values; one that another thread removes during a walk is left out."""
        return _Values(self)

    def items(self) -> ItemsView[bytes, bytes]:
        """Return a view of the pairs; a key that another thread removes during a walk is left out."""
        return _Items(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Values(ValuesView[bytes]):
    """The values of an engine. Python's own view would raise when a key goes between its steps."""

    _mapping: Engine

    def __iter__(self) -> Iterator[bytes]:
        return (value for _, value in _Items(self._mapping))


class _Items(ItemsView[bytes, bytes]):
    """The pairs of an engine, with the same care."""

    _mapping: Engine

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        engine = self._mapping
        for key in engine:
            value = engine.get(key)
            if value is not None:
                yield key, value


def check_type(key: object) -> None:
    """See that a key is of the type of keys; TypeError if it is not."""
    if not isinstance(key, bytes):
        raise TypeError(f"a key is bytes, not {type(key).__name__}")


def check_key(key: bytes) -> bytes:
    """Return the key, if it is one.

    Raises:
        TypeError: not bytes.
        InvalidKeyError: longer than MAX_KEY_BYTES.
    """
    check_type(key)
    if len(key) > MAX_KEY_BYTES:
        raise InvalidKeyError(f"a key has at most {MAX_KEY_BYTES:,} bytes, this one has {len(key):,}")
    return key


def check_value(value: bytes) -> bytes:
    """Return the value, if it is one.

    Raises:
        TypeError: not bytes.
        InvalidValueError: longer than MAX_VALUE_BYTES.
    """
    if not isinstance(value, bytes):
        raise TypeError(f"a value is bytes, not {type(value).__name__}")
    if len(value) > MAX_VALUE_BYTES:
        raise InvalidValueError(f"a value has at most {MAX_VALUE_BYTES:,} bytes, this one has {len(value):,}")
    return value


def check_batch(ops: Iterable[Op]) -> dict[bytes, bytes | None]:
    """Return the last step of each key of a batch, every key and value checked.

    Since a batch is all or nothing, nobody can see the steps before the last.

    >>> check_batch([(b"a", b"1"), (b"b", b"2"), (b"a", None)])
    {b'a': None, b'b': b'2'}
    """
    batch = dict(ops)
    # All at once where all are as they should be: with two calls a pair, checking took longer than writing.
    are_bytes = set(map(type, batch)) <= {bytes} and set(map(type, batch.values())) <= {bytes, NoneType}
    if not are_bytes or max(map(len, chain(batch, filter(None, batch.values()))), default=0) > MAX_KEY_BYTES:
        for key, value in batch.items():
            check_key(key)
            if value is not None:
                check_value(value)
    return batch
