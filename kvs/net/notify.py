"""Notifier: tells a supervisor how the service is, by the protocol of systemd's sd_notify.

Layout: a datagram to the Unix socket that NOTIFY_SOCKET names, of lines NAME=value. Where that begins with @, the
socket has no file: the name stands in the abstract namespace of Linux, whose names begin with a zero byte.

    READY=1       the service can be used
    STOPPING=1    it is about to end
    STATUS=...    how it is, in words
    WATCHDOG=1    it lives; to be said within each WATCHDOG_USEC microseconds, or the supervisor starts it anew

Without a supervisor none of this does anything.

Source: sd_notify(3) and sd_watchdog_enabled(3).
"""

import logging
import os
import socket
from collections.abc import Callable, Mapping

from kvs.log.ticker import Ticker

logger = logging.getLogger(__name__)


class Notifier:
    """The way to the supervisor, where the environment names one.

    Args:
        environment: the process's, or what should pass for it.
        is_alive: asked before each WATCHDOG=1; the supervisor is left in worry when it says False.

    Threads: any thread may use it. The watchdog has a thread of its own, from `ready` to `stopping`.
    """

    def __init__(self, environment: Mapping[str, str], is_alive: Callable[[], bool] = lambda: True) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._pause_s = _watchdog_pause_s(environment) if self._address else None
        self._is_alive = is_alive
        self._ticker: Ticker | None = None

    def ready(self, status: str) -> None:
        """Say that the service can be used."""
        self._send("READY=1", f"STATUS={_one_line(status)}")
        if self._pause_s is not None:
            self._ticker = Ticker(self.say_alive, self._pause_s)

    def status(self, status: str) -> None:
        """Say how the service is."""
        self._send(f"STATUS={_one_line(status)}")

    def stopping(self, status: str) -> None:
        """Say that the service is about to end. The watchdog is told no more: what is left to do may take its time."""
        if self._ticker is not None:
            self._ticker.stop()
            self._ticker = None
        self._send("STOPPING=1", f"STATUS={_one_line(status)}")

    def say_alive(self) -> None:
        """Tell the watchdog that the service lives, if it does."""
        if self._is_alive():
            self._send("WATCHDOG=1")
        else:
            logger.warning("the server does not answer; its watchdog is not told that it lives")

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        name = os.fsencode(self._address)
        target = b"\0" + name[1:] if name.startswith(b"@") else name
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as talk:
                talk.setblocking(False)  # a supervisor that does not listen holds nobody up
                talk.sendto("\n".join(lines).encode(), target)
        except OSError as error:  # nobody there to tell is no reason not to serve
            logger.warning("cannot notify %s: %s", self._address, error)


def _watchdog_pause_s(environment: Mapping[str, str]) -> float | None:
    """Return how often to tell the watchdog of this process, twice within its time, or None if it has none.

    >>> _watchdog_pause_s({"WATCHDOG_USEC": "30000000"})
    15.0
    """
    microseconds, pid = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if pid and pid != str(os.getpid()):
        return None
    if not (microseconds.isascii() and microseconds.isdigit() and int(microseconds)):
        return None
    return int(microseconds) / 1e6 / 2


def _one_line(text: str) -> str:
    return " ".join(text.split())
