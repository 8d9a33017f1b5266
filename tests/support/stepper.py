"""Stepper: stop a thread at any line of the package, and let others go on: every interleaving, one after the other.

It follows the thread by Python's own tracing, so it needs to know nothing of what it stops: no private names, no hooks
in the code under test.
"""

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final

DEADLINE_S: Final = 20.0


class Stopped:
    """A call that stands still at one line, in a thread of its own.

    Args:
        work: what is called.
        package: the directory whose lines count.
        line: before which of the lines that it comes by it stops, counted from 0.
    """

    def __init__(self, work: Callable[[], Any], package: str, line: int) -> None:
        self.where = "its end"  # the file and line at which it stands
        self.result: Any = None
        self.error: BaseException | None = None
        self.is_finished = False
        self._work = work
        self._package = package
        self._left = line
        self._news = threading.Event()  # it stands, or has ended
        self._go_on = threading.Event()
        self._thread = threading.Thread(target=self._run, name="stopped", daemon=True)
        self._thread.start()
        assert self._news.wait(DEADLINE_S), "it neither reached the line nor ended"

    @property
    def stands(self) -> bool:
        """Tell whether it was stopped; else it has ended before it came to that line."""
        return self.where != "its end"

    def let_go(self) -> None:
        """Let it go on, and wait for nothing."""
        self._go_on.set()

    def finish(self) -> Any:
        """Let it go on, and return what it returns, or raise what it raises."""
        self.is_finished = True
        self._go_on.set()
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), f"stopped at {self.where} and let go again, it does not end"
        if self.error is not None:
            raise self.error
        return self.result

    def _run(self) -> None:
        sys.settrace(self._trace)
        try:
            self.result = self._work()
        except BaseException as error:  # noqa: BLE001  # `finish` raises it where it can be seen
            self.error = error
        finally:
            sys.settrace(None)
            self._news.set()

    def _trace(self, frame: FrameType, event: str, _argument: object) -> Any:
        if not frame.f_code.co_filename.startswith(self._package):
            return None
        if event == "line" and not self.stands:
            if self._left == 0:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                self._news.set()
                self._go_on.wait(DEADLINE_S)
            self._left -= 1
        return self._trace


@contextmanager
def stopped(work: Callable[[], Any], package: str, line: int) -> Iterator[Stopped]:
    """Keep a call standing at a line for a while; in the end it goes on, whatever happened."""
    standing = Stopped(work, package, line)
    try:
        yield standing
    except BaseException:
        standing.let_go()
        raise
    if not standing.is_finished:
        standing.finish()


def at_every_line(
    work: Callable[[], Any], package: str, step: int = 1, prepare: Callable[[], object] = lambda: None
) -> Iterator[Stopped]:
    """Do the work again and again, stopped one line later each time, until it ends before it is stopped.

    Args:
        work: what is called; it has to be possible many times.
        package: the directory whose lines count.
        step: how many lines later; 1 for every one.
        prepare: called each time before the work, and not stopped.
    """
    line = 0
    while True:
        prepare()
        with stopped(work, package, line) as standing:
            if not standing.stands:
                return
            yield standing
        line += step
