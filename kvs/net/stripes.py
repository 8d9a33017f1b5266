"""Stripes: locks by key, so that a command that reads and then writes is one step beside other threads' commands.

A server whose commands all run in one thread needs none of this.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Final

STRIPES: Final = 64


class Stripes:
    """A fixed number of locks; each key belongs to one of them.

    Invariant: a command that changes keys, or reads several, holds the locks of all its keys from its first read to
    its last write. So each such command is one step; one that reads a single key is one step anyway.

    Threads: whoever needs several locks takes them in ascending order, so no two can wait for each other.
    """

    def __init__(self) -> None:
        self._locks = [threading.RLock() for _ in range(STRIPES)]  # EXEC holds all; its commands take theirs again

    @contextmanager
    def hold(self, keys: Iterable[bytes]) -> Iterator[None]:
        """Hold the locks of these keys."""
        with ExitStack() as held:
            for number in sorted({hash(key) % STRIPES for key in keys}):
                held.enter_context(self._locks[number])
            yield

    @contextmanager
    def hold_all(self) -> Iterator[None]:
        """Hold every lock: nobody else changes anything."""
        with ExitStack() as held:
            for lock in self._locks:
                held.enter_context(lock)
            yield
