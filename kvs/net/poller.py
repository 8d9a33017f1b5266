"""Poller: which of many sockets are ready. epoll where the system has it, poll elsewhere; both take the same masks."""

import select
from collections.abc import Callable
from typing import Final

READ: Final = 1
WRITE: Final = 4
"""POLLIN and POLLOUT, the same numbers everywhere; errors and hang-ups are reported without being asked for."""


class Poller:
    """Watches sockets by their descriptors.

    Attributes:
        wait: takes a time in seconds, or None for as long as it takes; returns the descriptors that are ready, each
            with what for. What it costs depends on how many are ready; with poll, on how many there are.
        register, modify: take a descriptor and a mask.
        unregister: takes a descriptor.
    """

    wait: Callable[[float | None], list[tuple[int, int]]]

    def __init__(self, *, may_epoll: bool = True) -> None:
        if may_epoll and hasattr(select, "epoll"):
            epoll = select.epoll()
            self.wait = epoll.poll  # the very method, for a turn is made of it
            self.close: Callable[[], None] = epoll.close
            poller: select.epoll | select.poll = epoll
        else:
            poll = select.poll()
            self.wait = lambda timeout_s: poll.poll(None if timeout_s is None else timeout_s * 1000)
            self.close = lambda: None
            poller = poll
        self.register: Callable[[int, int], None] = poller.register
        self.modify: Callable[[int, int], None] = poller.modify
        self.unregister: Callable[[int], None] = poller.unregister
