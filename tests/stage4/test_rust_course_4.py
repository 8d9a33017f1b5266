"""The two tests of the Rust course's projects 4 and 5 for many threads, under their names there, for every design."""

import threading
from collections.abc import Callable
from pathlib import Path

from designs import by_design

import kvs

DEADLINE_S = 20


def run_in_threads(count: int, work: Callable[[int], None]) -> None:
    """Run the work in so many threads, which all wait at a barrier before it."""
    barrier, failed = threading.Barrier(count), list[BaseException]()

    def start(number: int) -> None:
        try:
            barrier.wait(DEADLINE_S)
            work(number)
        except BaseException as error:  # noqa: BLE001  # told below, in the test's own thread
            failed.append(error)

    threads = [threading.Thread(target=start, args=(number,), daemon=True) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
    assert not any(thread.is_alive() for thread in threads)
    assert failed == []


@by_design
def test_concurrent_set(scratch: Path, engine: str) -> None:
    """A thousand threads set a key each, at once; every value is there, also when the store is opened again."""
    with kvs.open(scratch, engine, sync="none") as store:
        run_in_threads(1_000, lambda number: store.set(b"key%d" % number, b"value%d" % number))
        assert all(store.get(b"key%d" % number) == b"value%d" % number for number in range(1_000))
    with kvs.open(scratch, engine) as store:
        assert dict(store) == {b"key%d" % number: b"value%d" % number for number in range(1_000)}


@by_design
def test_concurrent_get(scratch: Path, engine: str) -> None:
    """A hundred threads get a hundred keys each, every one beginning elsewhere, before and after a reopening."""

    def read_all(first: int) -> None:
        for number in range(100):
            key = (number + first) % 100
            assert store.get(b"key%d" % key) == b"value%d" % key

    with kvs.open(scratch, engine, sync="none") as store:
        for number in range(100):
            store.set(b"key%d" % number, b"value%d" % number)
        run_in_threads(100, read_all)
    with kvs.open(scratch, engine) as store:
        run_in_threads(100, read_all)
