"""Tasks 4.1, 4.2 and 4.5: what many threads saw must have been possible, one operation after the other."""

from pathlib import Path

import pytest
from support.churn import Churn

import kvs

SMALL = {"sync": "none", "segment_bytes": 8_000, "compact_dead_bytes": 4_000}
"""Every few hundred writes a segment is full, and every hundred a compaction is due."""

by_task = pytest.mark.parametrize(
    "engine",
    [
        pytest.param("log", marks=pytest.mark.task("4.1")),
        pytest.param("rwlock", marks=pytest.mark.task("4.2")),
        pytest.param("lockfree", marks=pytest.mark.task("4.5")),
    ],
)


def check(path: Path, engine: str, churn: Churn, operations: int) -> None:
    """Record a history with merges, a reopening and more, and hold it against what is possible."""
    for _ in range(2):
        with kvs.open(path, engine, **SMALL) as store:
            churn.run(store, operations)
            store.compact()
            churn.look(store)
    with kvs.open(path, engine, **SMALL) as store:
        churn.look(store)
    assert churn.faults() == []


@by_task
def test_history_of_eight_threads_is_linearizable(scratch: Path, engine: str) -> None:
    """Of all that eight threads set, remove and read beside merges, nothing is lost, torn, stale or resurrected."""
    check(scratch, engine, Churn(has_pairs=False), 1_200)


@pytest.mark.extension
@by_task
def test_batches_are_seen_whole(scratch: Path, engine: str) -> None:
    """Two keys that are only written together are never read one new and then the other old."""
    check(scratch, engine, Churn(has_pairs=True), 1_200)


@by_task
def test_walks_make_sense_under_churn(scratch: Path, engine: str) -> None:
    """Beside writers, len, in and iteration know the keys that always stay, each once, and none that never came."""
    stay = {b"stay%d" % number for number in range(50)}
    churn = Churn(threads=3, has_pairs=False)
    come_and_go = {key for register in churn.registers for key in register.keys}
    seen = list[set[bytes]]()

    with kvs.open(scratch, engine, **SMALL) as store:
        for key in stay:
            store.set(key, b"here")

        class Walker:
            """A store whose reads walk it as well."""

            def __getattr__(self, name: str) -> object:
                return getattr(store, name)

            def get(self, key: bytes) -> bytes | None:
                if len(seen) < 300:
                    keys = list(store)
                    assert len(keys) == len(set(keys))
                    assert len(stay) <= len(store) <= len(stay | come_and_go)
                    assert b"stay7" in store
                    assert b"never" not in store
                    seen.append(set(keys))
                return store.get(key)

        churn.run(Walker(), 300)  # type: ignore[arg-type]  # all of an engine that is used here
    assert len(seen) >= 300
    assert all(stay <= keys <= stay | come_and_go for keys in seen)
