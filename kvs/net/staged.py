"""Staged: an engine with changes that are not written yet. Who reads through it sees them; commit() writes all at once.

Two things are made of it: a transaction (EXEC), whose commands see each other's changes and become one batch; and group
commit, where the writes of many clients become one batch and so share one fsync.
"""

from collections.abc import Iterable, Iterator
from typing import TypeVar, overload

from kvs.engine import Engine, EngineStats, Op, check_batch, check_key, check_type, check_value
from kvs.errors import KeyNotFoundError

T = TypeVar("T")


class Staged(Engine):
    """An engine's contents with changes on top.

    Args:
        engine: what the changes are committed to.

    Invariant: until commit() the engine is as it was; after it, it has all of the changes or, when it raised, none.

    Threads: one at a time; others may use the engine itself meanwhile.
    """

    name = "staged"

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.changes: dict[bytes, bytes | None] = {}
        """The new value of each changed key; None where it is removed."""
        self.changed_bytes = 0

    def commit(self) -> None:
        """Write the changes to the engine as one batch. Whatever happens, none are left.

        Raises:
            KvsError: as `Engine.write`; nothing was written.
        """
        changes, self.changes, self.changed_bytes = self.changes, {}, 0
        if changes:
            self.engine.write(changes.items())

    @overload
    def get(self, key: bytes, default: None = None) -> bytes | None: ...
    @overload
    def get(self, key: bytes, default: bytes | T) -> bytes | T: ...
    def get(self, key: bytes, default: T | None = None) -> bytes | T | None:
        """Return the value of a key as it will be after the commit."""
        check_type(key)
        if key in self.changes:
            value = self.changes[key]
            return default if value is None else value
        return self.engine.get(key, default)

    def set(self, key: bytes, value: bytes) -> None:
        """Stage a new value for a key."""
        self.changes[check_key(key)] = check_value(value)
        self.changed_bytes += len(key) + len(value)

    def remove(self, key: bytes) -> None:
        """Stage the removal of a key; KeyNotFoundError when it will not be there anyway."""
        if check_key(key) not in self:
            raise KeyNotFoundError(key)
        self.changes[key] = None
        self.changed_bytes += len(key)

    def write(self, ops: Iterable[Op]) -> None:
        """Stage several sets and removes."""
        batch = check_batch(ops)
        self.changes.update(batch)
        self.changed_bytes += sum(len(key) + len(value or b"") for key, value in batch.items())

    def __contains__(self, key: object) -> bool:
        if key in self.changes:
            return self.changes[key] is not None
        return key in self.engine

    def __len__(self) -> int:
        gained = sum(value is not None for value in self.changes.values())
        return len(self.engine) + gained - sum(key in self.engine for key in self.changes)

    def __iter__(self) -> Iterator[bytes]:
        yield from (key for key in self.engine if key not in self.changes)
        yield from [key for key, value in self.changes.items() if value is not None]

    def scan(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        *,
        prefix: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Walk keys and values in key order; see Engine.scan.

        Cost: with changes staged, all of the range is read and sorted.
        """
        if not self.changes:
            return self.engine.scan(start, stop, prefix=prefix, limit=limit, reverse=reverse)
        found = dict(self.engine.scan(start, stop, prefix=prefix))
        for key, value in self.changes.items():
            if value is None:
                found.pop(key, None)
            elif key.startswith(prefix or b"") and (start or b"") <= key and (stop is None or key < stop):
                found[key] = value
        if limit is not None and limit < 0:
            raise ValueError("limit is 0 or more")
        return iter(sorted(found.items(), reverse=reverse)[:limit])

    def sync(self) -> None:
        """Commit, then sync the engine."""
        self.commit()
        self.engine.sync()

    def compact(self) -> None:
        """Compact the engine; the changes stay staged."""
        self.engine.compact()

    def stats(self) -> EngineStats:
        """Return the engine's own figures, without the changes."""
        return self.engine.stats()

    def close(self) -> None:
        """Drop the changes. The engine stays open: it is somebody else's."""
        self.changes, self.changed_bytes = {}, 0
