"""NaiveThreadPool: a new thread for each job.

Simple, and never short of a thread: however many jobs wait for something, the next one begins at once. It pays for a
thread's start with each job, and nothing keeps the number of threads within bounds.
"""

import threading
from collections import deque
from typing import Final

from kvs.errors import PoolClosedError
from kvs.pool.base import Job, ThreadPool, run


class NaiveThreadPool(ThreadPool):
    """Starts a thread for each job, and lets it go when the job is done.

    Args:
        threads: one or more, as for every pool, so that one can stand in for another. Here it bounds nothing.

    Threads: the lock guards the fields below. It is held while a thread starts, so that a thread that `shutdown`
    finds can be joined.
    """

    name: Final = "naive"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._lock = threading.Lock()
        self._is_closed = False
        self._started = 0
        self._threads = set[threading.Thread]()  # not known to be gone
        self._finished = deque[threading.Thread]()  # those of them that are done; append and popleft are atomic

    def spawn(self, job: Job) -> None:
        """Start a thread that runs the job; see ThreadPool.spawn."""
        with self._lock:
            if self._is_closed:
                raise PoolClosedError
            self._forget_finished()
            name = f"kvs-{self.name}-{self._started}"
            thread = threading.Thread(target=self._work, args=(job,), name=name, daemon=True)
            thread.start()
            self._threads.add(thread)
            self._started += 1

    def shutdown(self, wait: bool = True) -> None:
        """Take no more jobs, and wait for those that run; see ThreadPool.shutdown."""
        with self._lock:
            self._is_closed = True
            threads = set(self._threads)
        if wait and threading.current_thread() not in threads:
            for thread in threads:
                thread.join()

    def _work(self, job: Job) -> None:
        """What a thread does: its one job."""
        run(job)
        self._finished.append(threading.current_thread())

    def _forget_finished(self) -> None:
        """Let go of threads that are gone, so that a million jobs do not leave a million threads to remember.

        A thread that is done has still to end. Until it has, `shutdown` must be able to join it.
        """
        while self._finished and not self._finished[0].is_alive():
            self._threads.discard(self._finished.popleft())
