"""ServerOptions: the limits that keep one client from hurting the others."""

import math
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How a server treats its clients; the defaults suit most.

    Args:
        max_clients: connections at the same time; one more is told so and closed.
        idle_timeout_s: a connection on which nothing happens for so long is closed; 0 for never.
        frame_timeout_s: a command that has begun must have come whole within this time; every 64 KiB of it that
            arrive begin the time anew.
        send_timeout_s: a client that takes none of its replies for so long is closed.
        drain_timeout_s: how long a stop waits for replies under way to be taken.
        max_reply_bytes: with more than this waiting to be sent to a client, no more of its commands are read.
        max_stranger_bytes: the same limit, and the largest command, before a password that is asked for was given.
        password: what AUTH must say; None when nothing is asked for.

    Raises:
        ValueError: a value outside its range.
    """

    max_clients: int = 10_000
    idle_timeout_s: float = 0.0
    frame_timeout_s: float = 30.0
    send_timeout_s: float = 30.0
    drain_timeout_s: float = 10.0
    max_reply_bytes: int = 8 * 1024 * 1024
    max_stranger_bytes: int = 64 * 1024
    password: str | None = None

    def __post_init__(self) -> None:
        for name in ("max_clients", "frame_timeout_s", "send_timeout_s", "max_reply_bytes", "max_stranger_bytes"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is a number above 0, not {getattr(self, name)!r}")
        for name in ("idle_timeout_s", "drain_timeout_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is 0 or more, not {getattr(self, name)!r}")
        if self.password == "":
            raise ValueError("the password is empty; leave it away to ask for none")

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__slots__ if name != "password")
        return f"ServerOptions({', '.join(shown)}, password={'set' if self.password else None})"


DEFAULTS: Final = ServerOptions()
