"""The pools from inside: their threads' names, what they remember, and the system that has no more threads."""

import io
import logging
import re
import sys
import threading
from functools import partial

import pytest
from support.child import run_program
from support.pools import DEADLINE_S, check_size, make, run_at_once, running, silent, wait_for
from support.target import Target

import kvs

pytestmark = pytest.mark.timeout(20)
POOLS = ["NaiveThreadPool", "SharedQueueThreadPool", "ExecutorThreadPool"]
every_pool = pytest.mark.parametrize("pool_name", POOLS)
sized_pool = pytest.mark.parametrize("pool_name", POOLS[1:])


@every_pool
def test_pools_are_thread_pools(pool_name: str) -> None:
    """Each pool is a ThreadPool, and has a name for the command line."""
    pool_class = getattr(kvs, pool_name)
    assert issubclass(pool_class, kvs.ThreadPool)
    assert pool_class.name in {"naive", "shared-queue", "executor"}


def worker_of(pool: "kvs.ThreadPool") -> threading.Thread:
    """Return the thread that runs a job."""
    workers, done = list[threading.Thread](), threading.Semaphore(0)

    def job() -> None:
        workers.append(threading.current_thread())
        done.release()

    pool.spawn(job)
    wait_for(done, 1)
    return workers[0]


@every_pool
def test_threads_are_named_for_their_pool(pool_name: str) -> None:
    """A pool's threads are called kvs-POOL-N, as a debugger shows them."""
    with running(pool_name, 3) as pool:
        run_at_once(pool, 3)
        assert re.fullmatch(rf"kvs-{pool.name}-\d+", worker_of(pool).name)


@pytest.mark.parametrize("pool_name", POOLS[:2])
def test_own_threads_are_daemons(pool_name: str) -> None:
    """The threads of the pools that are our own do not keep a program from ending."""
    with running(pool_name, 1) as pool:
        assert worker_of(pool).daemon


@sized_pool
@silent()
def test_no_job_is_none(pool_name: str) -> None:
    """What cannot be called is no job; that is found out in the thread, which survives it as it does a raising job."""
    with running(pool_name, 2) as pool:
        for _ in range(10):
            pool.spawn(None)  # type: ignore[arg-type]
        check_size(pool, 2)


@sized_pool
def test_log_that_cannot_be_written_costs_no_thread(pool_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that raises where stderr is closed, so that not even that can be logged, costs no thread either."""
    closed = io.StringIO()
    closed.close()
    monkeypatch.setattr(sys, "stderr", closed)
    broken = logging.StreamHandler(closed)
    logging.getLogger("kvs").addHandler(broken)
    try:
        with running(pool_name, 2) as pool:
            for _ in range(10):
                pool.spawn(partial(int, "none"))
            check_size(pool, 2)
    finally:
        logging.getLogger("kvs").removeHandler(broken)


def test_naive_pool_remembers_those_that_live() -> None:
    """Of two thousand threads, one after the other, a naive pool remembers the few that may not be gone yet."""
    pool, done = kvs.NaiveThreadPool(1), threading.Semaphore(0)
    most = 0
    for _ in range(2_000):
        pool.spawn(done.release)
        wait_for(done, 1)
        most = max(most, len(pool._threads))
    pool.shutdown()
    assert most < 100


def test_naive_pool_forgets_a_crowd() -> None:
    """After a hundred threads at once, too, a naive pool remembers only what lives."""
    with kvs.NaiveThreadPool(1) as pool:
        run_at_once(pool, 100)
        for thread in set(pool._threads):
            thread.join(DEADLINE_S)
        last = worker_of(pool)
        assert pool._threads == {last}


def test_closed_pool_says_so() -> None:
    """The error of a late job says in a sentence what happened."""
    for pool_name in POOLS:
        pool = make(pool_name, 1)
        pool.shutdown()
        with pytest.raises(kvs.PoolClosedError, match=r"\Athe pool is shut down\Z"):
            pool.spawn(print)


NO_MORE_THREADS = """
import resource, threading
import kvs

threading.stack_size(256 << 20)
resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))
before = threading.active_count()
try:
    kvs.SharedQueueThreadPool(100)
except RuntimeError as error:
    print(type(error).__name__, threading.active_count() - before)

for pool_class in (kvs.NaiveThreadPool, kvs.ExecutorThreadPool):
    pool, gate, taken = pool_class(100), threading.Event(), 0
    try:
        for taken in range(100):
            pool.spawn(gate.wait)
    except RuntimeError as error:
        print(type(error).__name__, taken > 0, end=" ")
    gate.set()
    pool.shutdown()
    print(threading.active_count() - before)
"""
"""Threads that take much room, and not much room."""


@pytest.mark.skipif(sys.platform != "linux", reason="macOS does not hold a process to RLIMIT_AS")
def test_no_more_threads_is_an_error_that_leaves_none_behind(target: Target) -> None:
    """Where the system has no more threads, RuntimeError says so; those that there were end as always."""
    said = run_program(target, NO_MORE_THREADS)
    assert said == ["RuntimeError 0", "RuntimeError True 0", "RuntimeError True 0"]


def test_pools_are_imported_on_first_use(target: Target) -> None:
    """`import kvs` loads no pool, and no concurrent.futures; a pool of our own loads no executor."""
    program = """
import sys
import kvs
print(sorted({"kvs.pool.base", "kvs.pool.executor", "concurrent.futures"} & set(sys.modules)))
kvs.SharedQueueThreadPool
print(sorted({"kvs.pool.base", "kvs.pool.executor", "concurrent.futures"} & set(sys.modules)))
"""
    assert run_program(target, program) == ["[]", "['kvs.pool.base']"]
