"""RWLockEngine: the same log behind a readers-writer lock. Readers hinder no readers; a writer stops them all."""

from contextlib import AbstractContextManager

from kvs.lockfree.rwlock import RWLock
from kvs.log.store import LogEngine


class RWLockEngine(LogEngine):
    """The engine "log" with another lock: several may read at once, while nobody writes.

    What it shows: a writer that waits for an fsync, or a compaction, still stops every reader; and each read pays for
    more locking than one big lock costs. It gains where reads are long and the build has no GIL.

    Threads: reads of values hold the shared side, everything else the exclusive one.
    """

    name = "rwlock"

    def _make_locks(self) -> tuple[AbstractContextManager[object], AbstractContextManager[object]]:
        """Return the two sides of a readers-writer lock."""
        lock = RWLock()
        return lock.exclusive, lock.shared
