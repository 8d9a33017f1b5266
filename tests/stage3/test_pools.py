"""Tasks 3.5 and 3.6: thread pools and their jobs."""

import gc
import hashlib
import logging
import threading
import time
import weakref
from collections import deque
from functools import partial
from itertools import count

import pytest
from support.pools import (
    DEADLINE_S,
    GRACE_S,
    RAISED,
    Call,
    Gate,
    Pause,
    check_size,
    every_pool,
    executor_pool,
    hasty,
    make,
    naive_pool,
    run_at_once,
    running,
    shared_queue_pool,
    silent,
    sized_pool,
    spawn_counter,
    spawn_raising,
    wait_for,
)

import kvs

# The four tests of the Rust course, under their names there.


@naive_pool
def test_naive_thread_pool_spawn_counter(pool_name: str) -> None:
    """Twenty jobs in a naive pool all run, and run to their ends."""
    with running(pool_name, 4) as pool:
        spawn_counter(pool)


@shared_queue_pool
def test_shared_queue_thread_pool_spawn_counter(pool_name: str) -> None:
    """Twenty jobs in a pool with a shared queue and four threads all run, and run to their ends."""
    with running(pool_name, 4) as pool:
        spawn_counter(pool)


@executor_pool
def test_rayon_thread_pool_spawn_counter(pool_name: str) -> None:
    """Twenty jobs in the standard library's executor, which is our rayon, all run, and run to their ends."""
    with running(pool_name, 4) as pool:
        spawn_counter(pool)


@shared_queue_pool
@silent()
def test_shared_queue_thread_pool_panic_task(pool_name: str) -> None:
    """After a thousand jobs that raise, a pool with a shared queue runs jobs as before."""
    with running(pool_name, 4) as pool:
        spawn_raising(pool, 1000)
        spawn_counter(pool)


# Jobs.


@every_pool
def test_job_runs_elsewhere(pool_name: str) -> None:
    """spawn() does not wait for the job: a job can wait for what its spawner does next."""
    gate, ran_in = Gate(), deque[threading.Thread | None]()

    def job() -> None:
        ran_in.append(threading.current_thread() if gate.wait() else None)

    with running(pool_name, 1) as pool:
        pool.spawn(job)
        assert not ran_in
        gate.open()
    assert len(ran_in) == 1
    assert ran_in[0] not in {None, threading.current_thread()}


@every_pool
@hasty()
def test_every_job_runs_once(pool_name: str) -> None:
    """Of 1,000 jobs that four threads spawn at the same time, each runs, and none runs twice."""
    ran = deque[int]()

    def spawn_share(pool: "kvs.ThreadPool", share: int) -> None:
        for number in range(share, 1000, 4):
            pool.spawn(partial(ran.append, number))

    with running(pool_name, 3) as pool:
        for call in [Call(partial(spawn_share, pool, share)) for share in range(4)]:
            call.finish()
    assert sorted(ran) == list(range(1000))


@every_pool
def test_job_may_spawn_jobs(pool_name: str) -> None:
    """A job may spawn the next, a hundred times, also where one thread runs them all."""
    done = threading.Event()

    def go_on(pool: "kvs.ThreadPool", left: int) -> None:
        if left:
            pool.spawn(partial(go_on, pool, left - 1))
        else:
            done.set()

    with running(pool_name, 1) as pool:
        pool.spawn(partial(go_on, pool, 100))
        assert done.wait(DEADLINE_S)


@every_pool
@hasty()
def test_no_wake_up_is_lost(pool_name: str) -> None:
    """Idle threads notice a new job every time: 500 times one job is spawned, and waited for."""
    with running(pool_name, 2) as pool:
        for number in range(500):
            done = threading.Event()
            pool.spawn(done.set)
            assert done.wait(DEADLINE_S), f"job {number} was never begun"


@sized_pool
def test_no_wake_up_is_lost_between_two_steps(pool_name: str) -> None:
    """A job that comes between any two steps of a thread that is about to fall asleep is noticed."""
    for line in count(1):
        done, pause = threading.Event(), Pause(line)
        with pause.in_new_threads(), running(pool_name, 1) as pool:
            was_awake = pause.reached.wait(GRACE_S)
            spawn = Call(partial(pool.spawn, done.set))
            if was_awake:
                spawn.is_waiting()  # it is done, or the thread stopped with the lock in its hand
            pause.go_on.set()
            spawn.finish()
            assert done.wait(DEADLINE_S), "the job was put into the queue, and no thread has noticed"
        if not was_awake:
            break


@every_pool
def test_blocked_job_holds_up_no_other(pool_name: str) -> None:
    """While one job is stuck, the other thread of a pool of two runs all the rest."""
    gate, done = Gate(), threading.Semaphore(0)
    with running(pool_name, 2) as pool:
        pool.spawn(gate.wait)
        for _ in range(50):
            pool.spawn(done.release)
        wait_for(done, 50)
        gate.open()


@every_pool
@pytest.mark.parametrize("error", RAISED)
def test_raising_job_is_logged(pool_name: str, error: type[BaseException], caplog: pytest.LogCaptureFixture) -> None:
    """What a job raises does not vanish: it is logged as an error, with its traceback."""
    raised = error("of this job")

    def job() -> None:
        raise raised

    with running(pool_name, 1) as pool:
        pool.spawn(job)
    errors = [each for each in caplog.records if each.levelno >= logging.ERROR and each.exc_info]
    assert [each.exc_info[1] for each in errors if each.exc_info] == [raised]


@every_pool
@silent()
def test_done_job_is_let_go(pool_name: str) -> None:
    """A pool keeps nothing of a job that is done: neither what it used, nor what it returned, nor what it raised."""

    class Thing:
        """Something that a job uses."""

    def leave(pool: "kvs.ThreadPool", end: str) -> threading.Event:
        thing, gone = Thing(), threading.Event()
        weakref.finalize(thing, gone.set)

        def job() -> Thing | None:
            if end == "raised":
                raise ValueError(thing)
            return thing if end == "returned" else None

        pool.spawn(job)
        return gone

    with running(pool_name, 1) as pool:
        for end in ("used", "returned", "raised"):
            gone, until = leave(pool, end), time.monotonic() + DEADLINE_S
            while not gone.wait(GRACE_S):
                gc.collect()
                assert time.monotonic() < until, f"the pool holds on to what its last job {end}"


# How many.


@every_pool
@pytest.mark.parametrize("threads", [0, -1])
def test_pool_without_threads_is_refused(pool_name: str, threads: int) -> None:
    """A pool has one thread or more; for fewer it raises ValueError."""
    with pytest.raises(ValueError, match=str(threads)):
        make(pool_name, threads)


@naive_pool
def test_naive_pool_gives_each_job_a_thread(pool_name: str) -> None:
    """However many jobs there are, in a naive pool each begins at once, whatever number of threads was given."""
    with running(pool_name, 1) as pool:
        run_at_once(pool, 30)


@naive_pool
def test_naive_pool_forgets_threads_that_are_done(pool_name: str) -> None:
    """A naive pool does not remember every thread that it ever had: of 200, one after the other, most are forgotten."""
    threads = deque[weakref.ref[threading.Thread]]()
    done = threading.Semaphore(0)

    def job() -> None:
        threads.append(weakref.ref(threading.current_thread()))
        done.release()

    with running(pool_name, 1) as pool:
        for _ in range(200):
            pool.spawn(job)
            wait_for(done, 1)
        gc.collect()
        assert sum(thread() is not None for thread in threads) < 100


@sized_pool
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_so_many_jobs_run_at_once(pool_name: str, threads: int) -> None:
    """A pool of N runs N jobs at the same time, and not one more; that is so however often it was idle."""
    with running(pool_name, threads) as pool:
        for _ in range(20):
            run_at_once(pool, threads)
        check_size(pool, threads)


@sized_pool
@silent()
def test_raising_jobs_cost_no_thread(pool_name: str) -> None:
    """After 1,000 raising jobs a pool of 4 runs 4 jobs at the same time as before, and has as many threads."""
    with running(pool_name, 4) as pool:
        check_size(pool, 4)
        before = threading.active_count()
        spawn_raising(pool, 1000)
        check_size(pool, 4)
        assert threading.active_count() == before


@sized_pool
def test_pool_of_one_keeps_the_order(pool_name: str) -> None:
    """A pool of one thread runs its jobs one after the other, in the order in which they were spawned."""
    gate, ran = Gate(), list[int]()
    with running(pool_name, 1) as pool:
        pool.spawn(gate.wait)
        for number in range(1000):
            pool.spawn(partial(ran.append, number))
        gate.open()
    assert ran == list(range(1000))


@sized_pool
def test_idle_threads_sleep(pool_name: str) -> None:
    """Idle threads take no processor time: the process takes hardly more than the one thread that has work to do."""
    block = bytes(1 << 20)
    with running(pool_name, 4) as pool:
        run_at_once(pool, 4)
        own_s, all_s = time.thread_time(), time.process_time()
        while time.thread_time() - own_s < 0.05:
            hashlib.sha256(block)  # lets other Python threads run meanwhile, should any want to
        own_s, all_s = time.thread_time() - own_s, time.process_time() - all_s
    assert all_s < 1.2 * own_s
