"""Thread pools under test: which ones, what they are asked to do, and a deadline on every answer."""

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from types import FrameType
from typing import Final

import pytest

import kvs

DEADLINE_S: Final = 5.0
GRACE_S: Final = 0.03
"""How long something is watched that must not happen; a right pool passes however short it is."""

NAIVE: Final = pytest.param("NaiveThreadPool", id="naive", marks=pytest.mark.task("3.5"))
SHARED: Final = pytest.param("SharedQueueThreadPool", id="shared_queue", marks=pytest.mark.task("3.6"))
EXECUTOR: Final = pytest.param("ExecutorThreadPool", id="executor", marks=pytest.mark.task("3.6"))
naive_pool = pytest.mark.parametrize("pool_name", [NAIVE])
shared_queue_pool = pytest.mark.parametrize("pool_name", [SHARED])
executor_pool = pytest.mark.parametrize("pool_name", [EXECUTOR])
sized_pool = pytest.mark.parametrize("pool_name", [SHARED, EXECUTOR])
every_pool = pytest.mark.parametrize("pool_name", [NAIVE, SHARED, EXECUTOR])


class Stop(BaseException):
    """What no `except Exception` catches."""


RAISED: Final = (ValueError, Stop, SystemExit, KeyboardInterrupt, GeneratorExit)


class Gate:
    """What jobs wait at until the test opens it. When that takes too long, it lets them go, and tells them so."""

    def __init__(self) -> None:
        self._is_open = threading.Event()
        self._is_late = False

    def open(self) -> None:
        """Let all pass."""
        self._is_open.set()

    def wait(self) -> bool:
        """Wait, and tell whether it was the test that opened it."""
        if not self._is_open.wait(DEADLINE_S):
            self._is_late = True
            self._is_open.set()
        return not self._is_late


class Call:
    """A call under way in a thread of its own, so that a test can see that it waits, and that it returns in time."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._call()
        except BaseException as error:  # noqa: BLE001  # for finish() to raise
            self._error = error

    def is_waiting(self) -> bool:
        """Tell whether the call has not returned, a moment given."""
        self._thread.join(GRACE_S)
        return self._thread.is_alive()

    def finish(self) -> None:
        """Return when the call has; raise what it has raised."""
        __tracebackhide__ = True
        self._thread.join(DEADLINE_S)
        if self._thread.is_alive():
            pytest.fail(f"{self._call} had not returned after {DEADLINE_S:.0f} s")
        if self._error is not None:
            raise self._error


class Pause:
    """Stops a thread before one line of the package under test, until it is told to go on. So a race is forced.

    Args:
        line: which of the lines that the thread runs, counted from 1.
    """

    def __init__(self, line: int) -> None:
        self._left = line
        self.reached, self.go_on = threading.Event(), threading.Event()
        self.is_past = False  # a traced call has ended before it got to that line

    def __call__(self, frame: FrameType, event: str, _arg: object) -> "Pause | None":
        """Count lines; a trace function, such as debuggers use."""
        if not frame.f_globals.get("__name__", "").startswith("kvs."):
            return None
        if event == "line":
            self._left -= 1
            if self._left == 0:
                self.reached.set()
                self.go_on.wait(DEADLINE_S)
        return self

    def trace(self, call: Callable[[], object]) -> None:
        """Make a call in this thread, stopping there if it gets that far."""
        usual = sys.gettrace()
        sys.settrace(self)
        try:
            call()
        finally:
            sys.settrace(usual)
            self.is_past = not self.reached.is_set()
            self.reached.set()

    @contextlib.contextmanager
    def in_new_threads(self) -> Iterator[None]:
        """Stop a thread that is started meanwhile."""
        usual = threading.gettrace()
        threading.settrace(self)
        try:
            yield
        finally:
            threading.settrace(usual)


def make(pool_name: str, threads: int) -> "kvs.ThreadPool":
    """Make a pool of this name; by name, since the tree under test may have one of them and not the others yet."""
    pool: kvs.ThreadPool = getattr(kvs, pool_name)(threads)
    return pool


@contextlib.contextmanager
def running(pool_name: str, threads: int) -> Iterator["kvs.ThreadPool"]:
    """Make a pool, and shut it down in time."""
    __tracebackhide__ = True
    pool = make(pool_name, threads)
    try:
        yield pool
    except BaseException:
        Call(partial(pool.shutdown, wait=False))
        raise
    Call(pool.shutdown).finish()


@contextlib.contextmanager
def silent() -> Iterator[None]:
    """Log nothing: a thousand raising jobs say a thousand times the same."""
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)


@contextlib.contextmanager
def hasty() -> Iterator[None]:
    """Let threads take turns a thousand times more often than usual: races come out."""
    usual_s = sys.getswitchinterval()
    sys.setswitchinterval(5e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(usual_s)


def wait_for(done: threading.Semaphore, times: int) -> None:
    """Return when a semaphore was released so many times."""
    __tracebackhide__ = True
    for number in range(times):
        assert done.acquire(timeout=DEADLINE_S), f"of {times} jobs that should have got there, {number} did"


def run_at_once(pool: "kvs.ThreadPool", jobs: int) -> None:
    """Run so many jobs that all wait for each other: they pass only when all run at the same time."""
    __tracebackhide__ = True
    met = threading.Semaphore(0)
    meeting = threading.Barrier(jobs)

    def meet() -> None:
        with contextlib.suppress(threading.BrokenBarrierError):
            meeting.wait(DEADLINE_S)
            met.release()

    for _ in range(jobs):
        pool.spawn(meet)
    wait_for(met, jobs)


def check_size(pool: "kvs.ThreadPool", threads: int) -> None:
    """See that so many jobs run at the same time, and not one more."""
    __tracebackhide__ = True
    begun, gate, done = threading.Semaphore(0), Gate(), threading.Semaphore(0)

    def hold() -> None:
        begun.release()
        gate.wait()
        done.release()

    for _ in range(threads + 1):
        pool.spawn(hold)
    wait_for(begun, threads)
    assert not begun.acquire(timeout=GRACE_S), f"more than {threads} jobs run at the same time"
    gate.open()
    wait_for(done, threads + 1)


def spawn_counter(pool: "kvs.ThreadPool") -> None:
    """Let twenty jobs count to a thousand together."""
    count, lock, done = 0, threading.Lock(), threading.Semaphore(0)

    def add() -> None:
        nonlocal count
        for _ in range(1000):
            with lock:
                count += 1
        done.release()

    for _ in range(20):
        pool.spawn(add)
    wait_for(done, 20)
    assert count == 20_000


def spawn_raising(pool: "kvs.ThreadPool", jobs: int) -> None:
    """Run jobs that raise, each something else than the one before."""
    done = threading.Semaphore(0)

    def fail(error: type[BaseException]) -> None:
        done.release()
        raise error

    for number in range(jobs):
        pool.spawn(partial(fail, RAISED[number % len(RAISED)]))
    wait_for(done, jobs)
