"""Signals: what the operating system's little messages do to a server.

    SIGTERM, SIGINT     stop: once, with manners; a second one ends the process at once, as if nobody had listened
    SIGHUP, SIGUSR1     compact, and go on serving

A signal interrupts the main thread between any two steps, wherever it is. So a handler does next to nothing: it asks
the server, which sets a flag and writes a byte to wake its loop up, and the loop does the work when it comes by.

Before there is a server, SIGTERM and SIGINT raise SystemExit where the program stands, for it to leave in order.

What was ignored when the process started stays ignored, SIGTERM excepted: a shell ignores SIGINT for the jobs that it
runs in the background, and nohup SIGHUP. SIGUSR1 is there to compact under nohup.

Threads: for the main thread, the only one in which Python runs handlers.
"""

import signal
import sys
import time
from types import FrameType, TracebackType
from typing import Any, Final, Protocol, Self

STOP: Final = (signal.SIGTERM, signal.SIGINT)
COMPACT: Final = (signal.SIGHUP, signal.SIGUSR1)
SPARED: Final = (signal.SIGINT, signal.SIGHUP)
"""Those that stay ignored where they were."""


class Stoppable(Protocol):
    """What signals are for: a server. Both methods return at once, and may be called between any two steps."""

    def shutdown(self, *, wait: bool = True) -> None:
        """Ask it to stop, and with `wait` see it stopped."""

    def compact_soon(self) -> None:
        """Ask it to compact."""


class Signals:
    """The process's signals, in our hands while the block runs.

    Attributes:
        server: who is told; None before there is one.
        stopped_at: when the first wish to stop came, on the monotonic clock, or None.
    """

    def __init__(self) -> None:
        self.server: Stoppable | None = None
        self.stopped_at: float | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for numbers, handler in ((STOP, self._stop), (COMPACT, self._compact)):
            for number in numbers:
                if number not in SPARED or signal.getsignal(number) is not signal.SIG_IGN:
                    self._before[number] = signal.signal(number, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before.clear()

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """Ask for the end, and leave the next such wish to the system, which grants it whatever we are doing."""
        self.stopped_at = time.monotonic()
        for number in STOP:
            if number in self._before:
                signal.signal(number, signal.SIG_DFL)
        if self.server is None:
            sys.exit(0)
        self.server.shutdown(wait=False)

    def _compact(self, _number: int, _frame: FrameType | None) -> None:
        if self.server is not None:
            self.server.compact_soon()
