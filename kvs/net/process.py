"""Life of a process that serves: what is made in which order, and what becomes of it at the end.

    beginning    signals, PID file, engine, pool, server, monitor; then "Listening on", and READY=1
    end          the server drains; then monitor, pool and engine are closed, and the PID file is removed

Each step needs those before it, and the end is the beginning backwards: so the store is closed, and all of it durable,
before anybody can see by the PID file that the process is gone, and start another.

The end has a bound. The server drains for as long as its options say; what is left then is given CLOSING_S. A process
that still stands after that is ended by force, with status 1: what was acknowledged is in the files, as after a kill.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from kvs.cli.text import counted
from kvs.engine import Engine
from kvs.net.address import Address
from kvs.net.listener import allow_many_descriptors
from kvs.net.logs import ALWAYS
from kvs.net.metrics import as_text
from kvs.net.monitor import Monitor
from kvs.net.notify import Notifier
from kvs.net.pidfile import PidFile
from kvs.net.probe import answers
from kvs.net.server import KvsServer
from kvs.net.signals import Signals
from kvs.net.vitals import Vitals
from kvs.pool.base import ThreadPool

logger = logging.getLogger(__name__)
announcer = logging.getLogger(ALWAYS)

CLOSING_S: Final = 5.0
"""What closing may take in any case, in seconds, however long the server has drained."""
FORCED_STATUS: Final = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """What a process that serves is to be made of.

    Args:
        version: what it says it is.
        place: where its store is, in words.
        open_engine: opens the store.
        make_pool: makes the threads.
        listen: makes the server, which listens from then on.
        drain_timeout_s: what a stop may take.
        pidfile: the PID file's name, or None for none.
        metrics_address: where to tell how the server is, or None for nowhere.
        is_encrypted: clients speak TLS.
    """

    version: str
    place: str
    open_engine: Callable[[], Engine]
    make_pool: Callable[[], ThreadPool]
    listen: Callable[[Engine, ThreadPool], KvsServer]
    drain_timeout_s: float
    pidfile: str | None = None
    metrics_address: Address | None = None
    is_encrypted: bool = False


def live(plan: Plan, environment: Mapping[str, str]) -> None:
    """Serve until a signal or a client says stop.

    Args:
        plan: what to make.
        environment: the process's variables, in which a supervisor says how to reach it.

    Raises:
        KvsError, OSError: something cannot be made. What was made before it is closed.
        SystemExit: a signal said stop before there was a server.

    Threads: for the main thread, which serves.
    """
    with ExitStack() as stack:
        signals = stack.enter_context(Signals())
        announcer.info("kvs %s", plan.version)
        allow_many_descriptors()
        pidfile = stack.enter_context(PidFile(plan.pidfile)) if plan.pidfile else None
        engine = stack.enter_context(plan.open_engine())
        announcer.info("engine %s, %s, in %s", engine.name, counted(len(engine), "key"), plan.place)
        pool = stack.enter_context(plan.make_pool())
        server = stack.enter_context(plan.listen(engine, pool))
        vitals = Vitals(server.service)
        if plan.metrics_address is not None:
            text = lambda: as_text(vitals.figures(), plan.version)  # noqa: E731  # of one use
            monitor = stack.enter_context(Monitor(plan.metrics_address, text, vitals.trouble))
            announcer.info("metrics on http://%s/metrics", monitor.address)
        notifier = Notifier(environment, partial(answers, server.address, is_encrypted=plan.is_encrypted))
        signals.server = server
        announcer.info("Listening on %s", server.address)
        notifier.ready(f"Listening on {server.address}")
        server.serve_forever()
        notifier.stopping("closing the store")
        drained_s = time.monotonic() - signals.stopped_at if signals.stopped_at is not None else 0.0
        with _bounded(max(CLOSING_S, plan.drain_timeout_s - drained_s), pidfile):
            stack.close()
    announcer.info("stopped")


@contextmanager
def _bounded(seconds: float, pidfile: PidFile | None) -> Iterator[None]:
    """End the process by force when the block takes longer than this: a job of the pool may never end."""

    def end() -> None:
        logger.error("closing took more than %.0f s, so it was cut short; what was acknowledged is kept", seconds)
        if pidfile is not None:
            pidfile.release()
        os._exit(FORCED_STATUS)

    timer = threading.Timer(seconds, end)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
