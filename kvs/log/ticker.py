"""Ticker: call a method of an object now and then, for as long as the object lives."""

import threading
import weakref
from collections.abc import Callable


class Ticker:
    """A thread that calls a bound method at intervals, and keeps the method's object alive no longer than others do.

    Args:
        method: a bound method; it takes no arguments and raises nothing.
        interval_s: seconds between two calls.

    Threads: one of its own, a daemon, for a program that forgets to close its store must still end.
    """

    def __init__(self, method: Callable[[], None], interval_s: float) -> None:
        self._stopped = threading.Event()
        args = (weakref.WeakMethod(method), self._stopped, interval_s)
        self._thread = threading.Thread(target=_tick, args=args, name="kvs-ticker", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread; when this returns, no call is under way. Not to be called from the method itself."""
        self._stopped.set()
        self._thread.join()


def _tick(method: "weakref.WeakMethod[Callable[[], None]]", stopped: threading.Event, interval_s: float) -> None:
    while not stopped.wait(interval_s):
        alive = method()
        if alive is None:
            return
        alive()
        del alive  # or the object would live on until the next tick
