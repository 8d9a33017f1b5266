"""SharedQueueThreadPool: a fixed number of workers, and one queue that all of them take their jobs from.

    spawn:  put the job into the queue, wake one worker
    worker: sleep until there is a job; take it, run it, and again

One Condition does it all. A condition is a lock together with the threads that sleep until something about what the
lock guards has changed. `wait` lets go of the lock and falls asleep in *one* step, and has the lock again when it
returns.

Invariants:
    1. The queue and "is it closed" are looked at and changed under the lock only.
    2. A worker goes to sleep only while the queue is empty and the pool open; what ends either wakes it.
    3. A worker ends only when the pool is closed *and* the queue empty.
    4. The lock is held for a few steps, never while a job runs.

What goes wrong without them, step by step:

**The lost wake-up** (1, 2). Were the queue looked at without the lock:
    1. A worker looks at the queue: empty.
    2. Another thread puts a job into it and wakes the sleepers: there are none.
    3. The worker falls asleep. The job is there, and nobody will wake anybody for it.
With the lock, step 2 cannot come between: `wait` lets go of the lock only when the worker already counts as asleep.

**The stolen job.** Why a worker that wakes looks again, with `while`, and does not rely on why it was woken:
    1. Worker A sleeps. A job is put into the queue, and A is woken.
    2. Before A has the lock, worker B is done with its own job, takes the lock, and takes the new job, too.
    3. A has the lock at last, and finds the queue empty. With `if` it would take a job out of an empty queue.

**Shutdown racing spawn** (1, 3). Were "is it closed" tested before the lock is taken:
    1. A thread that spawns finds the pool open.
    2. `shutdown` closes it, and the workers, who find the queue empty, end.
    3. The thread puts its job into the queue. It was accepted, and nobody will run it.
With both in one hold of the lock, a job comes before the close, and a worker stays for it, or it is refused.

**Waking one or all.** `spawn` wakes one: there is one job more, and any worker can do it. When two jobs come, two
workers are woken, so no job waits while a worker sleeps. To wake all would be right as well, and have them all fight
over one job. `shutdown` must wake all: by waking one it would tell one of them, and the others would sleep forever.
"""

import threading
from collections import deque
from typing import Final

from kvs.errors import PoolClosedError
from kvs.pool.base import Job, ThreadPool, run


class SharedQueueThreadPool(ThreadPool):
    """A fixed number of threads that take jobs from one queue, oldest first. The queue has no bound.

    Args:
        threads: how many there are, from the first moment to the last. So many jobs run at the same time.
    """

    name: Final = "shared-queue"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._changed = threading.Condition()  # its lock guards the two fields below
        self._jobs = deque[Job]()
        self._is_closed = False
        self._workers = list[threading.Thread]()  # complete once this returns, and read only from then on
        try:
            for number in range(threads):
                worker = threading.Thread(target=self._work, name=f"kvs-{self.name}-{number}", daemon=True)
                worker.start()
                self._workers.append(worker)
        except BaseException:
            self.shutdown()  # the system has no more threads: send home those that there are
            raise

    def spawn(self, job: Job) -> None:
        """Put a job into the queue; see ThreadPool.spawn."""
        with self._changed:
            if self._is_closed:
                raise PoolClosedError
            self._jobs.append(job)
            self._changed.notify()

    def shutdown(self, wait: bool = True) -> None:
        """Take no more jobs, and wait until the queue is empty and the workers are gone; see ThreadPool.shutdown."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        if wait and threading.current_thread() not in self._workers:
            for worker in self._workers:
                worker.join()

    def _work(self) -> None:
        """What a worker does from its first moment to its last: take the oldest job, run it, take the next."""
        while True:
            with self._changed:
                while not self._jobs and not self._is_closed:
                    self._changed.wait()
                if not self._jobs:
                    return
                job = self._jobs.popleft()
            run(job)
            del job  # or it would live on, with all that it refers to, until there is another one
