"""Tasks 3.5 and 3.6: a pool's end."""

import contextlib
import threading
import time
from collections import deque
from functools import partial
from itertools import count

import pytest
from support.child import run_program
from support.pools import (
    DEADLINE_S,
    GRACE_S,
    Call,
    Gate,
    Pause,
    Stop,
    every_pool,
    hasty,
    make,
    run_at_once,
    running,
    wait_for,
)
from support.target import Target

import kvs


@every_pool
def test_shutdown_lets_every_job_finish(pool_name: str) -> None:
    """shutdown() drops no job: those in the queue run as those under way do, and it returns when they are done."""
    gate, ran = Gate(), deque[int]()

    def job(number: int) -> None:
        if gate.wait():
            ran.append(number)

    pool = make(pool_name, 2)
    for number in range(50):
        pool.spawn(partial(job, number))
    shutdown = Call(pool.shutdown)
    assert shutdown.is_waiting()
    gate.open()
    shutdown.finish()
    assert sorted(ran) == list(range(50))


@every_pool
def test_shutdown_joins_every_thread(pool_name: str) -> None:
    """When shutdown() has returned, no thread of the pool is left, of eight that were idle or at work."""
    before = set(threading.enumerate())
    pool = make(pool_name, 8)
    run_at_once(pool, 8)
    for _ in range(8):
        pool.spawn(partial(time.sleep, GRACE_S))
    assert set(threading.enumerate()) - before
    Call(pool.shutdown).finish()
    assert set(threading.enumerate()) <= before


@every_pool
@hasty()
def test_shutdown_wakes_every_idle_thread(pool_name: str) -> None:
    """A pool that has nothing to do shuts down at once, asleep already or not yet."""
    before = set(threading.enumerate())
    for number in range(30):
        pool = make(pool_name, 4)
        if number % 2:
            run_at_once(pool, 4)
        Call(pool.shutdown).finish()
    assert set(threading.enumerate()) <= before


@every_pool
def test_shutdown_need_not_wait(pool_name: str) -> None:
    """shutdown(wait=False) returns while a job is under way; the jobs run all the same, then the threads end."""
    before = set(threading.enumerate())
    gate, done = Gate(), threading.Semaphore(0)
    pool = make(pool_name, 1)

    def job() -> None:
        gate.wait()
        done.release()

    for _ in range(5):
        pool.spawn(job)
    Call(partial(pool.shutdown, wait=False)).finish()
    assert not done.acquire(timeout=0)
    with pytest.raises(kvs.PoolClosedError):
        pool.spawn(done.release)
    gate.open()
    wait_for(done, 5)
    for thread in set(threading.enumerate()) - before:
        thread.join(DEADLINE_S)
    assert set(threading.enumerate()) <= before
    Call(pool.shutdown).finish()


@every_pool
def test_spawn_after_shutdown_raises(pool_name: str) -> None:
    """After shutdown() spawn() raises PoolClosedError, which is a RuntimeError, and the job does not run."""
    ran = threading.Event()
    pool = make(pool_name, 2)
    Call(pool.shutdown).finish()
    with pytest.raises(kvs.PoolClosedError) as caught:
        pool.spawn(ran.set)
    assert isinstance(caught.value, kvs.KvsError)
    assert isinstance(caught.value, RuntimeError)
    assert not ran.wait(GRACE_S)


@every_pool
def test_shutdown_twice_is_fine(pool_name: str) -> None:
    """Two threads may shut a pool down at the same time: each returns, and only when the jobs are done."""
    gate = Gate()
    pool = make(pool_name, 2)
    pool.spawn(gate.wait)
    calls = [Call(pool.shutdown), Call(pool.shutdown)]
    assert all(call.is_waiting() for call in calls)
    gate.open()
    for call in calls:
        call.finish()
    Call(pool.shutdown).finish()


@every_pool
def test_job_may_shut_its_pool_down(pool_name: str) -> None:
    """shutdown() within a job returns, for it cannot wait for its own job; the jobs in the queue still run."""
    gate, refused, done = Gate(), threading.Event(), threading.Semaphore(0)

    def job(pool: "kvs.ThreadPool") -> None:
        gate.wait()
        pool.shutdown()
        try:
            pool.spawn(done.release)
        except kvs.PoolClosedError:
            refused.set()

    with running(pool_name, 1) as pool:
        pool.spawn(partial(job, pool))
        for _ in range(5):
            pool.spawn(done.release)
        gate.open()
        assert refused.wait(DEADLINE_S)
        wait_for(done, 5)


@every_pool
def test_two_jobs_may_shut_their_pool_down(pool_name: str) -> None:
    """shutdown() within two jobs at the same time returns in both: neither waits for the other's end."""
    meeting, done = threading.Barrier(2), threading.Semaphore(0)

    def job(pool: "kvs.ThreadPool") -> None:
        meeting.wait(DEADLINE_S)
        pool.shutdown()
        done.release()

    with running(pool_name, 2) as pool:
        for _ in range(2):
            pool.spawn(partial(job, pool))
        wait_for(done, 2)


@every_pool
@hasty()
def test_shutdown_races_spawn(pool_name: str) -> None:
    """While two threads spawn, a third shuts down: each job either runs, or its spawn() raised PoolClosedError."""
    for _ in range(25):
        race_shutdown(make(pool_name, 2))


def race_shutdown(pool: "kvs.ThreadPool") -> None:
    """Shut a pool down while two threads spawn, and see that just those jobs were run that it took."""
    taken, ran, begun = deque[int](), deque[int](), threading.Semaphore(0)

    def spawn_until_closed() -> None:
        with contextlib.suppress(kvs.PoolClosedError):
            for number in range(10_000):
                pool.spawn(partial(ran.append, number))
                taken.append(number)
                begun.release()

    calls = [Call(spawn_until_closed), Call(spawn_until_closed)]
    wait_for(begun, 1)
    Call(pool.shutdown).finish()
    ran_by_then = sorted(ran)
    for call in calls:
        call.finish()
    assert ran_by_then == sorted(taken)


@every_pool
def test_shutdown_between_two_steps_of_spawn(pool_name: str) -> None:
    """A shutdown() that comes between any two steps of a spawn() waits for its job, or spawn() raises."""
    for line in count(1):
        ran, taken, pause, pool = threading.Event(), threading.Event(), Pause(line), make(pool_name, 1)
        spawn = Call(partial(spawn_stopping, pool, ran, taken, pause))
        assert pause.reached.wait(DEADLINE_S)
        shutdown = Call(pool.shutdown)
        shutdown.is_waiting()  # it is done, or spawn() stopped with the lock in its hand
        pause.go_on.set()
        spawn.finish()
        shutdown.finish()
        assert ran.is_set() == taken.is_set()
        if pause.is_past:
            break


def spawn_stopping(pool: "kvs.ThreadPool", ran: threading.Event, taken: threading.Event, pause: Pause) -> None:
    """Spawn a job, stopping on the way; note if the pool took it."""
    with contextlib.suppress(kvs.PoolClosedError):
        pause.trace(partial(pool.spawn, ran.set))
        taken.set()


@every_pool
def test_with_shuts_down(pool_name: str) -> None:
    """A pool is a context manager: leaving the block is a shutdown(), also where an exception leaves it."""
    gate, pools = Gate(), deque["kvs.ThreadPool"]()

    def use() -> None:
        with make(pool_name, 2) as pool:
            pools.append(pool)
            pool.spawn(gate.wait)
            raise Stop

    call = Call(use)
    assert call.is_waiting()
    gate.open()
    with pytest.raises(Stop):
        call.finish()
    with pytest.raises(kvs.PoolClosedError):
        pools[0].spawn(gate.wait)


FORGETFUL = """
import sys, threading
import kvs

pool = getattr(kvs, sys.argv[1])(2)
done = threading.Event()
for job in (done.set, *[threading.Event().wait] * int(sys.argv[2])):
    pool.spawn(job)
print(done.wait(10))
"""
"""A program that never shuts its pool down."""


@every_pool
def test_program_that_forgets_shutdown_ends(target: Target, pool_name: str) -> None:
    """A program that forgets shutdown() still ends, with a job stuck as well; the executor alone waits for its jobs."""
    stuck = 0 if pool_name == "ExecutorThreadPool" else 1
    assert run_program(target, FORGETFUL, pool_name, stuck) == ["True"]
