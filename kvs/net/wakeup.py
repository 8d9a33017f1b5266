"""Wakeup: how another thread, or a signal handler, gets the attention of one that waits for sockets."""

import contextlib
import os


class Wakeup:
    """A pipe whose reading end the poller watches, and what its owner is asked for.

    Attributes:
        stop_is_wanted, compaction_is_wanted: set from outside, looked at by the owner once it is awake.

    Threads: `wake` and what sets the flags from any, and from signal handlers: they take no lock and never block. The
    rest is the owner's.
    """

    def __init__(self) -> None:
        self.stop_is_wanted = False
        self.compaction_is_wanted = False
        self.fd, self._writer = os.pipe()
        os.set_blocking(self.fd, False)
        os.set_blocking(self._writer, False)

    def wake(self) -> None:
        """Make the reading end ready. A pipe that is full, or closed already, is fine: nobody needs waking then."""
        with contextlib.suppress(BlockingIOError, OSError):
            os.write(self._writer, b"!")

    def stop_soon(self) -> None:
        """Ask the owner to end."""
        self.stop_is_wanted = True
        self.wake()

    def compact_soon(self) -> None:
        """Ask the owner for a compaction."""
        self.compaction_is_wanted = True
        self.wake()

    def drain(self) -> None:
        """Take what was written, so that the next one wakes again."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self.fd, 4096):
                pass

    def close(self) -> None:
        """Close both ends. They are forgotten first: a signal meanwhile must not write into another's file."""
        fds = (self.fd, self._writer)
        self.fd = self._writer = -1
        for fd in fds:
            if fd >= 0:
                os.close(fd)
