"""The history checker itself: it agrees with trying every order, and it sees each kind of wrong store."""

import random
from collections.abc import Callable
from typing import Any

import pytest
from support.churn import Churn
from support.linear import Operation, fault_of_owned, fault_of_shared, is_possible

import kvs
from kvs import KeyNotFoundError, MemoryEngine

pytestmark = pytest.mark.timeout(60)


def small_history(rng: random.Random, *, is_owned: bool) -> tuple[list[Operation], list[Operation]]:
    """Return up to four writes and up to four reads of one register, all at different times."""
    writes, reads = rng.randint(1, 4), rng.randint(1, 4)
    times = rng.sample(range(40), 2 * (writes + reads))
    mine, others = times[: 2 * writes], times[2 * writes :]
    if is_owned:
        mine.sort()
    spans = [sorted(mine[at : at + 2]) for at in range(0, len(mine), 2)]
    wrote = [
        Operation(*span, None if is_owned and rng.random() < 0.3 else version) for version, span in enumerate(spans)
    ]
    versions = [None, *(each.version for each in wrote)]
    read = [Operation(*sorted(others[at : at + 2]), rng.choice(versions)) for at in range(0, len(others), 2)]
    return wrote, read


@pytest.mark.parametrize("is_owned", [False, True], ids=["shared", "owned"])
def test_checker_agrees_with_brute_force(rng: random.Random, *, is_owned: bool) -> None:
    """Of thousands of small random histories it accepts those, and only those, for which some order is possible."""
    fault_of: Callable[..., str | None] = fault_of_owned if is_owned else fault_of_shared
    verdicts = [0, 0]
    for _ in range(5_000):
        writes, reads = small_history(rng, is_owned=is_owned)
        possible = is_possible(writes, reads)
        assert (fault_of(writes, reads) is None) == possible, (writes, reads)
        verdicts[possible] += 1
    assert min(verdicts) > 500


@pytest.mark.parametrize("fault_of", [fault_of_owned, fault_of_shared])
def test_version_out_of_nothing_is_noticed(fault_of: Callable[..., str | None]) -> None:
    """A version that nobody wrote is a fault."""
    assert fault_of([Operation(1, 2, 1)], [Operation(3, 4, 7)]) == "7 was read and never written"


class Faulty(MemoryEngine):
    """A dict that does right nearly always.

    Args:
        kind: what it does wrong.
    """

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.before: dict[bytes, bytes | None] = {}
        self.reads = self.writes = 0

    def set(self, key: bytes, value: bytes) -> None:
        """Store it, or forget to."""
        self._note(key)
        self.writes += 1
        if not (self.kind == "lost" and self.writes % 300 == 0):
            super().set(key, value)

    def remove(self, key: bytes) -> None:
        """Remove it, and remember what it was."""
        self._note(key)
        super().remove(key)

    def write(self, ops: Any) -> None:
        """Write all at once, or one after the other."""
        for step in [[each] for each in ops] if self.kind == "batch in steps" else [ops]:
            super().write(step)

    def get(self, key: bytes, default: Any = None) -> Any:
        """Return the value, or now and then something else."""
        self.reads += 1
        value = super().get(key, default)
        if self.reads % 500:
            return value
        if self.kind == "stale":
            return self.before.get(key, value)
        if self.kind == "resurrected" and value is None:
            return self.before.get(key)
        if self.kind == "torn" and value is not None:
            return value + b"0"
        return value

    def _note(self, key: bytes) -> None:
        self.before[key] = super().get(key)


@pytest.mark.parametrize("kind", ["stale", "lost", "torn", "resurrected", "batch in steps"])
def test_planted_fault_is_caught(kind: str) -> None:
    """A store that returns one stale, torn or resurrected value in 500, loses a write, or cuts batches, is caught."""
    churn = Churn()
    try:
        churn.run(Faulty(kind), 6_000)
    except KeyNotFoundError:
        assert kind == "lost"  # its owner could not remove it
    else:
        assert churn.faults() != []


def test_sound_store_is_not_accused() -> None:
    """The same store without a fault passes."""
    churn = Churn()
    churn.run(kvs.MemoryEngine(), 4_000)
    assert churn.faults() == []
