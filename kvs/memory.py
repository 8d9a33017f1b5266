"""MemoryEngine: the contract kept by a dict, for as long as the process lives."""

import threading
from collections.abc import Iterable, Iterator
from typing import TypeVar, overload

from kvs.engine import Engine, EngineStats, Op, check_batch, check_key, check_type, check_value
from kvs.errors import KeyNotFoundError, StoreClosedError
from kvs.keyorder import KeyOrder, select_range

T = TypeVar("T")


class MemoryEngine(Engine):
    """A store in memory: as fast as a dict, and gone with the process.

    >>> with MemoryEngine() as store:
    ...     store.set(b"snowman", "☃".encode())
    ...     store.get(b"snowman").decode()
    '☃'

    Threads: one lock guards the dict, so that a batch is seen whole and a scan's keys are those of one moment.
    """

    name = "memory"

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: dict[bytes, bytes] | None = {}  # None once closed
        self._order = KeyOrder()
        self._removals = 0

    def set(self, key: bytes, value: bytes) -> None:
        """Store `value` under `key`, replacing what was there."""
        check_key(key)
        check_value(value)
        with self._lock:
            self._open_entries()[key] = value

    @overload
    def get(self, key: bytes, default: None = None) -> bytes | None: ...
    @overload
    def get(self, key: bytes, default: bytes | T) -> bytes | T: ...
    def get(self, key: bytes, default: T | None = None) -> bytes | T | None:
        """Return the value stored under `key`, or `default` when there is none."""
        check_type(key)
        with self._lock:
            return self._open_entries().get(key, default)

    def remove(self, key: bytes) -> None:
        """Remove `key`; KeyNotFoundError when it is not there."""
        check_key(key)
        with self._lock:
            if self._open_entries().pop(key, None) is None:
                raise KeyNotFoundError(key)
            self._removals += 1

    def __len__(self) -> int:
        with self._lock:
            return len(self._open_entries())

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._open_entries()

    def __iter__(self) -> Iterator[bytes]:
        with self._lock:
            return iter(list(self._open_entries()))

    def scan(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        *,
        prefix: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Walk keys and values in key order; see Engine.scan."""
        with self._lock:
            keys = self._order.keys(self._open_entries(), self._removals)
        chosen = select_range(keys, start, stop, prefix=prefix, limit=limit, reverse=reverse)
        return ((key, value) for key in chosen if (value := self.get(key)) is not None)

    def write(self, ops: Iterable[Op]) -> None:
        """Apply several sets and removes as one."""
        batch = check_batch(ops)
        with self._lock:
            entries = self._open_entries()
            for key, value in batch.items():
                if value is not None:
                    entries[key] = value
                elif entries.pop(key, None) is not None:
                    self._removals += 1

    def stats(self) -> EngineStats:
        """Count the keys and their bytes; nothing is ever dead in a dict."""
        with self._lock:
            entries = self._open_entries()
            live_bytes = sum(map(len, entries)) + sum(map(len, entries.values()))
            return EngineStats(engine=self.name, keys=len(entries), live_bytes=live_bytes, dead_bytes=0)

    def close(self) -> None:
        """Drop everything: a store in memory ends here."""
        with self._lock:
            self._entries = None

    def _open_entries(self) -> dict[bytes, bytes]:
        """Return the dict, or raise StoreClosedError. The caller holds the lock."""
        if self._entries is None:
            raise StoreClosedError
        return self._entries
