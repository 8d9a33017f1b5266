"""The pool contract: what every thread pool promises, however it finds a thread for a job.

    with SharedQueueThreadPool(4) as pool:
        pool.spawn(job)

Invariants:
    1. A job runs once, in one of the pool's threads, and never in the thread that spawned it.
    2. Jobs begin in the order in which they were spawned.
    3. A job that raises, whatever it raises, costs nobody else anything: that it did is logged, and the pool has as
       many threads as before.
    4. After `shutdown` no job is accepted, and every job that was accepted still runs.
    5. Once a `shutdown` that waits has returned, no thread of the pool is left.
    6. A pool keeps nothing of a job that is done.

A program that forgets `shutdown` must still end, so the threads are daemons: at the end of the program they are cut
off, in the middle of a job if need be. Of a fork the child has no threads but the one that called it: make a pool
after the fork, not before.

Threads: every method may be called from any thread, one that is running a job included; not from a signal handler,
which may have come while its thread was inside the same method.
"""

import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from types import TracebackType
from typing import ClassVar, Self, TypeAlias

logger = logging.getLogger(__name__)

Job: TypeAlias = Callable[[], object]
"""What a pool runs: something to be called. What it returns is dropped."""


class ThreadPool(ABC):
    """Runs jobs in threads of its own.

    Args:
        threads: how many jobs may run at the same time.

    Raises:
        ValueError: fewer than one thread.
        RuntimeError: the system has no more threads.
    """

    name: ClassVar[str]
    """The pool's name on the command line, and in the names of its threads: kvs-NAME-0, kvs-NAME-1, …"""

    def __init__(self, threads: int) -> None:
        if threads < 1:
            raise ValueError(f"a pool has one thread or more, not {threads}")

    @abstractmethod
    def spawn(self, job: Job) -> None:
        """Have a job run in another thread, as soon as there is one for it. Does not wait for that.

        Raises:
            PoolClosedError: the pool was shut down; the job will not run.
            RuntimeError: the system has no more threads.
        """

    @abstractmethod
    def shutdown(self, wait: bool = True) -> None:
        """Take no more jobs, let those run that were taken, then end the threads. Calling it again is fine.

        Args:
            wait: return only when all that is done. Within a job of this pool `shutdown` never waits: the pool cannot
                end before that job does, and of two jobs that wait for each other neither ends.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()


def run(job: Job) -> None:
    """Run a job, and survive it: what it raises is logged, and goes no further.

    BaseException, for a job that calls `sys.exit` means to end itself; the thread belongs to the pool.
    """
    try:
        job()
    except BaseException:
        with contextlib.suppress(Exception):  # a log that cannot be written, to a closed stderr, say, ends no thread
            logger.exception("a job raised")
