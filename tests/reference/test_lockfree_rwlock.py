"""RWLock from within: who waits for whom, and a writer that gives up waiting."""

import signal
import threading
from collections.abc import Callable
from types import FrameType

import pytest
from support.frozen import STUCK, Call

from kvs.lockfree.rwlock import RWLock

pytestmark = pytest.mark.timeout(30)
DEADLINE_S = 10


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait for a state that another thread is about to reach."""
    pause = threading.Event()
    for _ in range(DEADLINE_S * 1_000):
        if is_so():
            return
        pause.wait(0.001)
    pytest.fail("the state was not reached")


def test_reader_waits_while_a_writer_waits() -> None:
    """One reader is inside, a writer waits for it, and a reader who comes waits for both; then all get through."""
    lock, order = RWLock(), list[str]()

    def enter(side: object, name: str) -> None:
        with side:  # type: ignore[attr-defined]  # either side
            order.append(name)

    lock.acquire_shared()
    writer = Call(lambda: enter(lock.exclusive, "writer"))
    wait_until(lambda: lock._waiting_writers == 1)
    reader = Call(lambda: enter(lock.shared, "reader"))
    assert reader.result(0.05) is STUCK
    assert order == []
    lock.release_shared()
    assert (writer.result(), reader.result()) == (None, None)
    assert order == ["writer", "reader"]
    assert (lock._readers, lock._waiting_writers, lock._is_writing) == (0, 0, False)


def test_writer_that_gives_up_lets_readers_in() -> None:
    """A writer interrupted in its wait, as by Ctrl-C, waits no more: the readers who waited for it alone get in."""

    class Interrupted(Exception):  # noqa: N818  # a signal, not an error
        """What the handler raises."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Interrupted

    lock = RWLock()
    lock.acquire_shared()
    reader: list[Call] = []

    def come_then_interrupt() -> None:
        wait_until(lambda: lock._waiting_writers == 1)
        reader.append(Call(lock.acquire_shared))
        assert reader[0].result(0.05) is STUCK
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, interrupt)
    try:
        other = Call(come_then_interrupt)
        with pytest.raises(Interrupted):
            lock.acquire_exclusive()
        assert other.result() is None
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert reader[0].result() is None
    assert (lock._readers, lock._waiting_writers, lock._is_writing) == (2, 0, False)


def test_one_writer_of_many_gets_in_at_a_time() -> None:
    """Of writers who wait together each gets in alone, and all of them in the end."""
    lock, inside, most = RWLock(), [0], [0]

    def write() -> None:
        for _ in range(200):
            with lock.exclusive:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                inside[0] -= 1

    writers = [Call(write) for _ in range(6)]
    assert all(writer.result() is None for writer in writers)
    assert most == [1]
