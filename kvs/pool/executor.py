"""ExecutorThreadPool: concurrent.futures.ThreadPoolExecutor behind the contract, to compare one's own pool with.

What differs: threads are started when there is work for them, up to the number given; and at the end of a program
that forgot `shutdown` the standard library waits for the jobs that were taken, where other pools cut them off.
"""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from kvs.errors import PoolClosedError
from kvs.pool.base import Job, ThreadPool, run


class ExecutorThreadPool(ThreadPool):
    """Hands its jobs to the standard library's executor.

    Args:
        threads: how many there are at most, which is how many jobs run at the same time.
    """

    name: Final = "executor"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        self._is_closed = False
        self._workers = set[threading.Thread]()
        self._executor = ThreadPoolExecutor(
            threads, thread_name_prefix=f"kvs-{self.name}", initializer=_begin, initargs=(self._workers,)
        )

    def spawn(self, job: Job) -> None:
        """Hand the job to the executor; see ThreadPool.spawn."""
        try:
            self._executor.submit(run, job)
        except RuntimeError as error:  # it says so as well when a thread cannot be started
            if self._is_closed:  # needs no lock: it was set before the executor began to refuse
                raise PoolClosedError from error
            raise

    def shutdown(self, wait: bool = True) -> None:
        """Take no more jobs, and wait for those that were taken; see ThreadPool.shutdown."""
        self._is_closed = True
        is_inside = threading.current_thread() in self._workers  # needs no lock: who is in it put itself there
        self._executor.shutdown(wait=wait and not is_inside)


def _begin(workers: set[threading.Thread]) -> None:
    """What a worker does before its first job: sign in, and take a name of the form that all pools use."""
    worker = threading.current_thread()
    workers.add(worker)
    worker.name = worker.name.replace("_", "-")
