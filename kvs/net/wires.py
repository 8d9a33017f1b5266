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
from collections.abc import Callable

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
        self._room = threading.Condition(self._lock)  # tells those who wait that there is room again
        self._waiting = 0
        self._idle: list[Wire] = []  # the last one used is the next one used
        self._in_use: set[Wire] = set()
        self._opening = 0  # in use as well, as soon as they stand

    def take(self, *, is_new: bool = False) -> Wire:
        """Return a wire for the caller alone, who gives it back when done, whatever happens.

        Args:
            is_new: none that was idle.

        Raises:
            StoreClosedError: the client was closed.
            DisconnectedError: there is no idle one, and no other can be opened.
        """
        while True:
            with self._lock:
                self._wait_for_room()
                wire = self._idle.pop() if self._idle and not is_new else None
                if wire is None:
                    self._opening += 1
                    is_full = len(self._idle) + len(self._in_use) + self._opening > self._most
                    surplus = self._idle.pop(0) if is_full else None
                    break
                self._in_use.add(wire)
            if wire.is_quiet():
                return wire
            wire.is_sound = False
            self.give_back(wire)
        return self._open(surplus)

    def _wait_for_room(self) -> None:
        """Return when fewer are in use than there can be. The caller holds the lock, and lets go of it meanwhile."""
        self.check_open()
        while len(self._in_use) + self._opening >= self._most:
            self._waiting += 1
            try:
                self._room.wait()
            finally:
                self._waiting -= 1
            self.check_open()

    def _open(self, surplus: Wire | None) -> Wire:
        """Return another wire, which is counted as opening already.

        Args:
            surplus: what goes so that there is room for it.
        """
        wire: Wire | None = None
        try:
            if surplus is not None:
                surplus.close()
            wire = self._dial()
        finally:
            with self._lock:
                self._opening -= 1
                if wire is not None:
                    self._in_use.add(wire)
                self._room.notify()
        return wire

    def give_back(self, wire: Wire) -> None:
        """Keep the wire for the next one who needs it, if it can be kept, or else close it."""
        with self._lock:
            is_kept = wire.is_sound and not self.is_closed and wire in self._in_use
            self._in_use.discard(wire)
            if is_kept:
                self._idle.append(wire)
            if self._waiting:
                self._room.notify()
        if not is_kept:
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
            self._room.notify_all()
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
