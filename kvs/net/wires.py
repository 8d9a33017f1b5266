"""Wires: the connections to one server. Who needs one takes an idle one or opens another, and gives it back.

So threads do not wait for each other, up to a bound; and a connection that failed is replaced by the next one.

Invariants:
    1. A wire is used by one thread at a time, and by one process: a forked child closes its copies.
    2. At most `most` connections are open.
    3. An idle wire is sound: it has no answer to come.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kvs.errors import StoreClosedError
from kvs.net.wire import Wire


class Wires:
    """The connections to one server.

    Args:
        dial: opens another connection.
        most: how many there can be; whoever needs one more waits until one is given back.

    Threads: any. One lock guards the sets; it is never held while anything is sent or awaited.
    """

    def __init__(self, dial: Callable[[], Wire], most: int) -> None:
        self._dial = dial
        self._most = most
        self.is_closed = False
        self._begin()
        _all.add(self)

    def _begin(self) -> None:
        """Have no connections."""
        self._lock = threading.Lock()
        self._room = threading.BoundedSemaphore(self._most)  # counts those in use
        self._idle: list[Wire] = []  # the last one used is the next one used
        self._in_use: set[Wire] = set()

    @contextmanager
    def taken(self, *, is_new: bool = False) -> Iterator[Wire]:
        """Take a wire for the block; afterwards it is kept, if it is still sound, or else closed.

        Args:
            is_new: take none that was idle.

        Raises:
            StoreClosedError: the client was closed.
            DisconnectedError: there is no idle one, and no other can be opened.
        """
        room = self._room
        with room:
            wire = (None if is_new else self._take_idle()) or self._open()
            try:
                yield wire
            finally:
                self._give_back(wire)

    def _take_idle(self) -> Wire | None:
        """Return an idle wire that is still connected, if there is one."""
        while True:
            with self._lock:
                if self.is_closed or not self._idle:
                    return None
                wire = self._idle.pop()
                self._in_use.add(wire)
            if wire.is_quiet():
                return wire
            self._drop(wire)

    def _open(self) -> Wire:
        """Open another wire; where that would be one too many, an idle one goes."""
        self.check_open()
        with self._lock:
            surplus = self._idle.pop(0) if len(self._idle) + len(self._in_use) >= self._most else None
        if surplus is not None:
            surplus.close()
        wire = self._dial()
        with self._lock:
            self._in_use.add(wire)
        return wire

    def _give_back(self, wire: Wire) -> None:
        """Keep the wire for the next one who needs it, if it can be kept."""
        with self._lock:
            is_kept = wire.is_sound and not self.is_closed and wire in self._in_use
            self._in_use.discard(wire)
            if is_kept:
                self._idle.append(wire)
        if not is_kept:
            wire.close()

    def _drop(self, wire: Wire) -> None:
        with self._lock:
            self._in_use.discard(wire)
        wire.close()

    def check_open(self) -> None:
        """See that nobody has called `close`.

        Raises:
            StoreClosedError: somebody has.
        """
        if self.is_closed:
            raise StoreClosedError

    def close(self) -> None:
        """Close what is idle now, and what is in use when it is given back. Closing twice is fine."""
        with self._lock:
            self.is_closed = True
            idle, self._idle = self._idle, []
        for wire in idle:
            wire.close()

    def become_child(self) -> None:
        """In a forked child: leave the parent its connections, and wait for no lock of a thread that is not here."""
        for wire in [*self._idle, *self._in_use]:
            wire.close()
        self._begin()

    def __del__(self) -> None:
        for wire in self._idle:  # nobody else can know them any more; in use there are none, for those know us
            wire.close()


_all: "weakref.WeakSet[Wires]" = weakref.WeakSet()


def _after_fork_in_child() -> None:
    for wires in list(_all):
        wires.become_child()


os.register_at_fork(after_in_child=_after_fork_in_child)
