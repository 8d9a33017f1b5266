"""RWLock: a lock that many readers may hold at once, or one writer alone."""

import threading
from types import TracebackType


class RWLock:
    """A readers-writer lock that prefers writers: while one waits, no new reader gets in.

    Invariants:
        1. While a writer holds it, nobody else does.
        2. While a writer waits, the readers inside leave and none comes in, so the writer's wait is bounded by theirs.
           What that costs: every reader who comes meanwhile waits for all of those, and for the writer.

    Threads: the condition's lock guards the three numbers; it is held for a few steps only, never while reading or
    writing. Nobody may take it twice: a reader who comes in again while a writer waits would wait for itself.
    """

    def __init__(self) -> None:
        self.shared = _Shared(self)
        self.exclusive = _Exclusive(self)
        self._changed = threading.Condition(threading.Lock())
        self._readers = 0  # inside
        self._waiting_writers = 0
        self._is_writing = False

    def acquire_shared(self) -> None:
        """Come in as a reader."""
        with self._changed:
            while self._is_writing or self._waiting_writers:
                self._changed.wait()
            self._readers += 1

    def release_shared(self) -> None:
        """Leave as a reader; the last one lets a writer in."""
        with self._changed:
            self._readers -= 1
            if not self._readers:
                self._changed.notify_all()

    def acquire_exclusive(self) -> None:
        """Come in as the writer."""
        with self._changed:
            self._waiting_writers += 1
            try:
                while self._is_writing or self._readers:
                    self._changed.wait()
                self._is_writing = True
            finally:
                self._waiting_writers -= 1
                if not self._is_writing:
                    self._changed.notify_all()  # interrupted: readers may have waited for us alone

    def release_exclusive(self) -> None:
        """Leave as the writer."""
        with self._changed:
            self._is_writing = False
            self._changed.notify_all()


class _Shared:
    """The readers' side, for `with`."""

    def __init__(self, lock: RWLock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.acquire_shared()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release_shared()


class _Exclusive:
    """The writer's side, for `with`."""

    def __init__(self, lock: RWLock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        self._lock.acquire_exclusive()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lock.release_exclusive()
