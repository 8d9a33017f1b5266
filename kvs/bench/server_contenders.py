"""Who is measured: server designs, each in a child process of its own."""

import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final, Self

from kvs import catalog
from kvs.bench.server_child import ASYNCIO, AT_ONCE, REDIS, Task
from kvs.bench.server_generators import BenchError, environment, last_line
from kvs.net.server import DESIGNS

STARTING_S: Final = 30.0
ENDING_S: Final = 20.0
POOL_THREADS: Final = 4
NAMES: Final = (*DESIGNS, AT_ONCE, ASYNCIO, REDIS)


@dataclass(frozen=True, slots=True)
class Contender:
    """A server that is measured.

    Args:
        label: what it is called in the report.
        design: how connections are served.
        pool: the name of its thread pool,
        threads: and how many threads that has.
    """

    label: str
    design: str
    pool: str
    threads: int

    @classmethod
    def parse(cls, text: str, clients: int) -> Self:
        """Return the contender that a text names: DESIGN, DESIGN:POOL or DESIGN:POOL:THREADS.

        Where no pool is named, "jobs" has a thread for each connection, and the others a queue with four threads.

        >>> Contender.parse("jobs", 50)
        Contender(label='jobs', design='jobs', pool='naive', threads=4)

        Raises:
            ValueError: there is none such, or it could not serve so many clients.
        """
        design, _, rest = text.partition(":")
        pool, _, threads = rest.partition(":")
        pool = pool or ("naive" if design == "jobs" else "shared-queue")
        if design not in NAMES:
            raise ValueError(f"no design is called {design!r}; there are {', '.join(NAMES)}")
        if pool not in catalog.pool_names():
            raise ValueError(f"no pool is called {pool!r}; there are {', '.join(catalog.pool_names())}")
        if threads and not (threads.isascii() and threads.isdigit() and int(threads)):
            raise ValueError(f"expected a number of threads, found {threads!r}")
        count = int(threads or POOL_THREADS)
        if design == "jobs" and pool != "naive" and count < clients:
            raise ValueError(f"{text}: a connection is a job, so {clients} clients need {clients} threads")
        if design == REDIS and shutil.which("redis-server") is None:
            raise ValueError("redis-server is not installed")
        return cls(text, design, pool, count)


@contextlib.contextmanager
def serving(contender: Contender, engine: str, sync: str | None, directory: str) -> Iterator[str]:
    """Serve an empty store in a child process while the block runs; its address is given to the block.

    Args:
        contender: which server.
        engine: of its store,
        sync: and when writes to that are made durable; None leaves it to the engine.
        directory: an empty one, for whatever the server writes.

    Raises:
        BenchError: it did not start.
    """
    store = os.path.join(directory, "store")
    os.mkdir(store)
    task = Task(
        design=contender.design,
        pool=contender.pool,
        threads=contender.threads,
        engine=engine,
        sync=sync,
        directory=store,
    )
    with open(os.path.join(directory, "stderr"), "w+", encoding="utf-8", errors="backslashreplace") as stderr:
        process = subprocess.Popen(  # noqa: S603  # our own module
            [sys.executable, "-P", "-m", "kvs.bench.server_child", json.dumps(asdict(task))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env=environment(),
            start_new_session=True,  # Ctrl-C is ours to answer
        )
        try:
            assert process.stdout is not None  # noqa: S101  # for mypy
            is_heard = bool(select.select([process.stdout], [], [], STARTING_S)[0])
            address = process.stdout.readline().decode().strip() if is_heard else ""
            if not address:
                stderr.seek(0)
                raise BenchError(f"{contender.label} does not start: {last_line(stderr.read())}")
            yield address
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Let the child end, or see to it, and to the redis-server that it may have started."""
    try:
        process.communicate(timeout=ENDING_S)  # closes its stdin, which is what it waits for
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
