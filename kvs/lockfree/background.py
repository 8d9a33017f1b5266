"""BackgroundCompactor: compactions in a thread of their own, while readers and writers go on."""

import contextlib
import threading
import time
from contextlib import AbstractContextManager
from typing import Final

from kvs.engine import Progress
from kvs.errors import StoreClosedError
from kvs.log.compactor import Compactor
from kvs.log.disk import Lock
from kvs.log.options import LogOptions
from kvs.log.segment import Segment
from kvs.log.writer import Writer

CONTENDED_S: Final = 20e-6
"""Giving the interpreter away and getting it back takes longer than this when somebody else wanted it."""
IDLE_TIMES: Final = 2.0
"""How long a compaction then stays away, in times of what it worked: others have two thirds of the time."""
WORTH_S: Final = 0.0005
"""After less work than this, giving the interpreter away is not worth what it costs."""
BEHIND_TIMES: Final = 2
"""With so many times more dead than makes a compaction due, it does not stay away: writers are outrunning it."""
FAREWELL_S: Final = 1.0
"""How long the drop of an engine that nobody closed waits for its compaction to end."""


class BackgroundCompactor(Compactor):
    """Keeps the dead bytes of a log within bounds, in its own time.

    Invariant: as Compactor's, but for what dies while a compaction runs.

    Args:
        writer: the log.
        options: when it is worth it, and how large a merged segment may be.
        lock: the writers' lock.
        ownership: of the directory. While a compaction is under way nobody else must own it, also when the engine was
            dropped without close(); so it is held here as well.

    Threads: `run` and `stop` from any but the writers' lock's holder, `run_if_due` from that alone. Whoever compacts
    holds `_turn`, which is always taken before the writers' lock. A compaction that is due gets a thread of its own, a
    daemon that ends with it; it holds this object and the log's parts, never the engine.
    """

    def __init__(
        self, writer: Writer, options: LogOptions, lock: AbstractContextManager[object], ownership: Lock
    ) -> None:
        super().__init__(writer, options, lock)
        self._ownership = ownership
        self._turn = threading.Lock()
        self._is_stopped = False
        self._breathed_at_s = self._worked_until_s = 0.0  # by the wall's clock, and by the compacting thread's own
        self._thread: threading.Thread | None = None

    def run_if_due(self) -> None:
        """Have a compaction run beside everybody else, when enough is dead and none runs already."""
        if self._writer.keydir.dead_bytes < self.look_at or self._is_stopped:
            return
        if self._thread is None or not self._thread.is_alive():
            thread = threading.Thread(target=self._look_aside, name="kvs-compactor", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # no room for a thread, or the interpreter is ending; the write at hand is done
                return
            self._thread = thread

    def run(self, progress: Progress) -> None:
        """Merge what has dead records in it; see Compactor.run. Waits for one that runs already.

        Raises:
            StoreClosedError: the engine was closed meanwhile; the merges that were made stay.
        """
        with self._turn:
            if self._is_stopped:
                raise StoreClosedError
            self._breathed_at_s, self._worked_until_s = time.perf_counter(), time.thread_time()
            super().run(progress)

    def _breathe(self) -> None:
        """Let others have the interpreter, and stay away for a while when somebody was waiting for it.

        With a GIL, a thread that makes system calls gives the interpreter away at each of them, and gets it back from
        one that computes only after 5 ms. Beside a compaction that never rests, a server would do a few hundred of
        them a second. A thread that computes keeps the interpreter for 5 ms of its own accord, so beside one of those
        the compaction has been away for long enough already.
        """
        worked_s = time.thread_time() - self._worked_until_s
        if worked_s < WORTH_S:
            return
        away_s = time.perf_counter() - self._breathed_at_s - worked_s
        is_behind = self._writer.keydir.dead_bytes > BEHIND_TIMES * self.look_at
        if away_s < worked_s * IDLE_TIMES and not is_behind:
            begun_s = time.perf_counter()
            time.sleep(0)
            waited_s = time.perf_counter() - begun_s
            if CONTENDED_S < waited_s < worked_s * IDLE_TIMES:
                time.sleep(worked_s * IDLE_TIMES - waited_s)
        self._breathed_at_s, self._worked_until_s = time.perf_counter(), time.thread_time()

    def _merge(self, run: list[Segment], progress: Progress) -> None:
        """Merge a run of segments, and go no further in a store that is being closed.

        The merge at hand is finished all the same: else a store that is opened only for a moment, time and again,
        would begin many merges and finish none.
        """
        super()._merge(run, progress)
        if self._is_stopped:
            raise StoreClosedError

    def stop(self) -> None:
        """Let the merge at hand be the last. When this returns nothing is under way, and nothing begins any more."""
        self._is_stopped = True
        with self._turn:
            thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join()

    def abandon(self) -> None:
        """Let the merge at hand be the last: the engine was dropped without close().

        Called wherever the last reference went, so it waits a moment only: long enough for the directory to be free
        again, and not for ever, should the garbage collector have chosen a thread for it that others wait for.
        """
        self._is_stopped = True
        thread = self._thread
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join(FAREWELL_S)

    def _look_aside(self) -> None:
        """Compact for as long as it is worth it: what died meanwhile may be enough again. In a thread of its own."""
        with contextlib.suppress(StoreClosedError):
            while self._writer.keydir.dead_bytes >= self.look_at and not self._is_stopped:
                self.look()
