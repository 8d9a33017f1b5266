"""The tour's early end: by Ctrl-C or another signal, and such that no process and no file is left."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, Final, NoReturn, Self

ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
    """While its block runs, SIGTERM and SIGHUP end that as Ctrl-C does: by an exception, past everything to clean up.

    Only the first of these signals counts. Those behind it are ignored: what is left to do then has deadlines, and is
    not to be cut short.

    Threads: signals are the main thread's; in another one nothing changes.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}
        self._is_held = False
        self._pending: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in ENDS:
                if signal.getsignal(number) is not signal.SIG_IGN:  # what a shell or nohup ignores stays so
                    self._before[number] = signal.signal(number, self._hear)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Let a signal wait until the block is done: until a process that is being started is known to its owner."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._pending is not None:
            _end(self._pending)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        for each in self._before:
            signal.signal(each, signal.SIG_IGN)
        if not self._is_held:
            _end(number)
        self._pending = number


def _end(number: int) -> NoReturn:
    """Raise what ends the tour."""
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
