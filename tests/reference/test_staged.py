"""Staged beside two dicts: what is committed, and what will be."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as some
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kvs.engine import MAX_KEY_BYTES, Op
from kvs.errors import InvalidKeyError, KeyNotFoundError, StorageError
from kvs.memory import MemoryEngine
from kvs.net.staged import Staged

KEYS = some.sampled_from([b"", b"a", b"ab", b"b", b"b\x00", b"c", b"\xff"])
VALUES = some.binary(max_size=3)
BOUNDS = some.none() | KEYS


class FailingEngine(MemoryEngine):
    """An engine whose next batch can fail."""

    fails = False

    def write(self, ops: Iterable[Op]) -> None:
        """Write a batch, or fail as a full disk does."""
        if self.fails:
            raise StorageError("the disk is full")
        super().write(ops)


class StagedMachine(RuleBasedStateMachine):
    """Does the same to a Staged and to a dict, commits now and then, and compares all that can be seen."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = FailingEngine()
        self.staged = Staged(self.engine)
        self.written: dict[bytes, bytes] = {}
        self.wanted: dict[bytes, bytes] = {}

    @rule(key=KEYS, value=VALUES)
    def set(self, key: bytes, value: bytes) -> None:
        """Stage a value."""
        self.staged.set(key, value)
        self.wanted[key] = value

    @rule(key=KEYS)
    def remove(self, key: bytes) -> None:
        """Stage a removal; one of what is not there is an error."""
        if key in self.wanted:
            self.staged.remove(key)
            del self.wanted[key]
        else:
            with pytest.raises(KeyNotFoundError):
                self.staged.remove(key)

    @rule(ops=some.lists(some.tuples(KEYS, some.none() | VALUES), max_size=5))
    def write(self, ops: list[Op]) -> None:
        """Stage a batch."""
        self.staged.write(ops)
        for key, value in ops:
            if value is None:
                self.wanted.pop(key, None)
            else:
                self.wanted[key] = value

    @rule(key=KEYS, value=VALUES)
    def change_the_engine_too(self, key: bytes, value: bytes) -> None:
        """Change beneath what was not staged: reads see it, for there is nothing above it."""
        if key not in self.staged.changes:
            self.engine.set(key, value)
            self.written[key] = self.wanted[key] = value

    @rule()
    def commit(self) -> None:
        """Write all that was staged."""
        self.staged.commit()
        self.written = dict(self.wanted)

    @rule()
    def sync(self) -> None:
        """Write, and sync."""
        self.staged.sync()
        self.written = dict(self.wanted)

    @rule()
    def fail_to_commit(self) -> None:
        """Fail to write: it is as if nothing had been staged."""
        self.engine.fails = True
        if self.staged.changes:
            with pytest.raises(StorageError):
                self.staged.commit()
        self.engine.fails = False
        self.wanted = dict(self.written)

    @rule()
    def close(self) -> None:
        """Drop what was staged; the engine stays open."""
        self.staged.close()
        self.wanted = dict(self.written)

    @rule(start=BOUNDS, stop=BOUNDS, prefix=BOUNDS, limit=some.none() | some.integers(0, 4), reverse=some.booleans())
    def scan(self, **bounds: Any) -> None:
        """Walk a part of it in order, within all sorts of bounds."""
        plain = MemoryEngine()
        plain.write(self.wanted.items())
        assert list(self.staged.scan(**bounds)) == list(plain.scan(**bounds))

    @invariant()
    def looks_as_wanted(self) -> None:
        """What is read through it is what is wanted; the engine beneath is as it was last written."""
        assert dict(self.staged) == self.wanted
        assert len(self.staged) == len(self.wanted)
        assert sorted(self.staged) == sorted(self.wanted)
        for key in (b"", b"a", b"ab", b"b", b"b\x00", b"c", b"\xff", b"never"):
            assert self.staged.get(key) == self.wanted.get(key)
            assert (key in self.staged) == (key in self.wanted)
        in_order = sorted(self.wanted.items())
        for limit in range(3):
            assert list(self.staged.scan(limit=limit)) == in_order[:limit]
            assert list(self.staged.scan(limit=limit, reverse=True)) == in_order[::-1][:limit]
        assert dict(self.engine) == self.written
        assert bool(self.staged.changes) or self.staged.changed_bytes == 0


StagedMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestStaged = StagedMachine.TestCase
TestStaged.__doc__ = "Whatever is staged, committed, dropped or fails, it reads as a dict to which the same was done."


def test_what_cannot_be_written_is_refused_when_it_is_staged() -> None:
    """A key too long, or text for bytes, is an error at once, for the turn's others would suffer at the commit."""
    staged = Staged(MemoryEngine())
    staged.set(b"k", b"v")
    long = bytes(MAX_KEY_BYTES + 1)
    for attempt in (
        lambda: staged.set(long, b""),
        lambda: staged.remove(long),
        lambda: staged.write([(b"a", b"1"), (long, b"")]),
    ):
        with pytest.raises(InvalidKeyError):
            attempt()
    for wrong in (lambda: staged.set("k", b""), lambda: staged.set(b"k", "v"), lambda: staged.get("k")):  # type: ignore[arg-type, call-overload]
        with pytest.raises(TypeError):
            wrong()
    assert list(staged.changes) == [b"k"]
    with pytest.raises(ValueError, match="limit"):
        staged.scan(limit=-1)


def test_a_commit_is_one_batch() -> None:
    """All changes are one write to the engine, so that they are one after a crash; without changes there is none."""
    batches: list[list[Op]] = []

    class Recorder(MemoryEngine):
        """Keeps the batches."""

        def write(self, ops: Iterable[Op]) -> None:
            """Keep a batch."""
            batches.append(list(ops))

    staged = Staged(Recorder())
    staged.commit()
    staged.set(b"a", b"1")
    staged.write([(b"b", b"2"), (b"c", None)])
    staged.set(b"a", b"3")
    staged.commit()
    staged.commit()
    assert batches == [[(b"a", b"3"), (b"b", b"2"), (b"c", None)]]


def test_staged_on_staged_is_committed_to_the_one_below() -> None:
    """A transaction within a turn: its commit stages, and the turn's writes."""
    engine = MemoryEngine()
    turn = Staged(engine)
    turn.set(b"a", b"1")
    transaction = Staged(turn)
    transaction.set(b"b", b"2")
    transaction.remove(b"a")
    assert turn.get(b"b") is None
    transaction.commit()
    assert dict(turn) == {b"b": b"2"}
    assert dict(engine) == {}
    turn.commit()
    assert dict(engine) == {b"b": b"2"}
