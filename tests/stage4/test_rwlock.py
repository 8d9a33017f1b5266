"""Task 4.2: a lock that many readers hold at once, or one writer alone, and that no writer waits for in vain."""

import random
import threading

import pytest
from support.churn import switching_often
from support.frozen import STUCK, Call

from kvs.lockfree.rwlock import RWLock

pytestmark = pytest.mark.task("4.2")

A_WHILE_S = 0.05
"""So long somebody who must not get in is given to do it all the same."""


class Visitor:
    """A thread that comes in by one side of a lock, and stays until it is told to leave."""

    def __init__(self, side: object, order: list[str] | None = None, name: str = "") -> None:
        self.is_in, self.may_leave = threading.Event(), threading.Event()

        def visit() -> None:
            with side:  # type: ignore[attr-defined]  # either side of the lock
                if order is not None:
                    order.append(name)
                self.is_in.set()
                assert self.may_leave.wait(20)

        self._call = Call(visit)

    def came_in(self) -> bool:
        """Tell whether it is inside, giving it time to come."""
        return self.is_in.wait(20)

    def stays_out(self) -> bool:
        """Tell whether it is still outside, after a while."""
        return not self.is_in.wait(A_WHILE_S)

    def leave(self) -> None:
        """Let it go out, or out again as soon as it is in, and wait for that."""
        self.may_leave.set()
        assert self._call.result() is not STUCK


def door_closes(lock: RWLock) -> None:
    """Return when a reader who comes finds the door closed, for a writer waits."""
    for _ in range(400):
        late = Visitor(lock.shared)
        is_out = late.stays_out()
        late.may_leave.set()
        if is_out:
            return
    pytest.fail("readers who come while a writer waits still get in: the writer may wait for ever")


def test_readers_share() -> None:
    """Three readers are inside at the same time."""
    lock = RWLock()
    readers = [Visitor(lock.shared) for _ in range(3)]
    assert all(reader.came_in() for reader in readers)
    for reader in readers:
        reader.leave()


def test_writer_is_alone() -> None:
    """While a writer is inside, neither a reader nor another writer gets in; when it leaves, both do."""
    lock = RWLock()
    writer = Visitor(lock.exclusive)
    assert writer.came_in()
    others = [Visitor(lock.shared), Visitor(lock.exclusive)]
    assert all(other.stays_out() for other in others)
    for other in others:
        other.may_leave.set()
    writer.leave()
    for other in others:
        other.leave()


def test_writer_waits_for_every_reader() -> None:
    """A writer gets in when the last of the readers has left, and not before."""
    lock = RWLock()
    readers = [Visitor(lock.shared) for _ in range(2)]
    assert all(reader.came_in() for reader in readers)
    writer = Visitor(lock.exclusive)
    assert writer.stays_out()
    readers[0].leave()
    assert writer.stays_out()
    readers[1].leave()
    assert writer.came_in()
    writer.leave()


def test_waiting_writer_goes_first() -> None:
    """A reader who comes while a writer waits for the readers inside lets the writer go first."""
    lock, order = RWLock(), list[str]()
    first = Visitor(lock.shared)
    assert first.came_in()
    writer = Visitor(lock.exclusive, order, "writer")
    door_closes(lock)
    late = Visitor(lock.shared, order, "late reader")
    assert late.stays_out()
    first.leave()
    assert writer.came_in()
    assert late.stays_out()
    writer.leave()
    assert late.came_in()
    late.leave()
    assert order == ["writer", "late reader"]


def test_error_inside_lets_go() -> None:
    """Whoever leaves by an error has left: reader or writer, the next one gets in."""
    lock = RWLock()
    for side in (lock.shared, lock.exclusive):
        with pytest.raises(ValueError, match="inside"), side:
            raise ValueError("inside")
        next_one = Visitor(lock.exclusive)
        assert next_one.came_in()
        next_one.leave()


def test_no_wake_up_is_lost(rng: random.Random) -> None:
    """Eight threads come and go by both sides thousands of times; nobody is forgotten, and no writer has company."""
    lock, inside, company = RWLock(), [0], list[int]()
    seeds = [rng.random() for _ in range(8)]

    def come_and_go(seed: float) -> None:
        mine = random.Random(seed)
        for _ in range(400):
            if mine.random() < 0.5:
                with lock.shared:
                    if inside[0]:
                        company.append(1)
            else:
                with lock.exclusive:
                    inside[0] += 1
                    if inside[0] != 1:
                        company.append(2)
                    inside[0] -= 1

    with switching_often():
        calls = [Call(lambda seed=seed: come_and_go(seed)) for seed in seeds]  # type: ignore[misc]  # default is a float
        assert all(call.result() is not STUCK for call in calls)
    assert company == []
