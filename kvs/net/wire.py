"""Wire: one connection to a server. Requests go out while replies come in; neither waits for the other.

A server stops reading while nobody takes its replies. So whoever sends all of a large pipeline before reading anything
may wait for a server that waits for them. Here both directions move whenever they can.

Invariant: a wire that failed in mid-exchange is not sound any more, whatever the reason: an answer that is late would
be taken for that of the next command.
"""

import select
import socket
from typing import Final, Literal

from kvs.errors import DisconnectedError, ProtocolError, RemoteError
from kvs.resp.reply import ReplyDecoder
from kvs.resp.value import Reply

_CHUNK_BYTES: Final = 64 * 1024
"""What is sent and received at once. TLS decrypts 16 KiB at a time: nothing is left behind where no poll sees it."""


class Wire:
    """One connection.

    Args:
        talk: the connected socket; the wire's own from now on.
        address: the server's, for errors.
        blocked: what the socket raises when it has nothing to give or no room to take.

    Attributes:
        has_begun: whether any byte of the last request was sent.
        is_sound: whether it may be used for another exchange.

    Threads: one at a time.
    """

    def __init__(self, talk: socket.socket, address: str, blocked: tuple[type[OSError], ...]) -> None:
        talk.setblocking(False)
        self._talk = talk
        self._address = address
        self._blocked = blocked
        self._decoder = ReplyDecoder()
        self._poll = select.poll()
        self._poll.register(talk, select.POLLIN)
        self._watched = select.POLLIN
        self.has_begun = False
        self.is_sound = True

    def is_quiet(self) -> bool:
        """Tell whether an idle wire is still connected, and nothing was said unasked, so that it can be used."""
        try:
            self._talk.recv(1)
        except self._blocked:
            return True
        except OSError:
            pass
        return False

    def exchange(self, request: bytes, count: int, *, timeout_s: float | None, is_write: bool = False) -> list[Reply]:
        """Send a request, and return its replies.

        Args:
            request: one or more commands, encoded.
            count: how many they are; at least one.
            timeout_s: how long nothing may move in either direction; None for any time.
            is_write: whether they change anything, so that a failure leaves it in doubt.

        Raises:
            DisconnectedError: the server is gone, or silent.
            ProtocolError: what it said is no reply, or more than it was asked for.
        """
        self.has_begun = self.is_sound = False
        replies: list[Reply] = []
        unsent = memoryview(request)
        try:
            while len(replies) < count:
                if unsent:
                    unsent = unsent[self._send(unsent) :]
                self._wait(timeout_s, is_sending=len(unsent) > 0)
                replies += self._receive()
                if self._decoder.fault is not None and len(replies) < count:
                    raise ProtocolError(f"{self._address}: {self._decoder.fault}")
        except _EndError as end:
            raise self._disconnected(end, replies, count, is_in_doubt=is_write and self.has_begun) from end.__cause__
        if len(replies) > count:
            raise ProtocolError(f"{self._address}: expected {count:,} replies, found {len(replies):,}")
        self.is_sound = not unsent and self._decoder.fault is None and self._decoder.is_between
        return replies

    def _send(self, unsent: memoryview) -> int:
        """Send what the connection takes at once; return how many bytes that was."""
        try:
            sent = self._talk.send(unsent[:_CHUNK_BYTES])
        except self._blocked:
            return 0
        except OSError:
            return len(unsent)  # it takes no more. Why, it may have said before; and if not, receiving will tell
        self.has_begun = True
        return sent

    def _wait(self, timeout_s: float | None, *, is_sending: bool) -> None:
        """Return when there is something to receive, or room to send."""
        wanted = select.POLLIN | select.POLLOUT if is_sending else select.POLLIN
        if wanted != self._watched:
            self._poll.modify(self._talk, wanted)
            self._watched = wanted
        if not self._poll.poll(None if timeout_s is None else timeout_s * 1000):
            raise _EndError("silent", f"no answer within {timeout_s:g} s")

    def _receive(self) -> list[Reply]:
        """Return the replies that are complete with what has arrived, if any."""
        try:
            data = self._talk.recv(_CHUNK_BYTES)
        except self._blocked:
            return []
        except OSError as error:
            raise _EndError("gone", error.strerror or str(error)) from error
        if not data:
            raise _EndError("gone", "the server closed the connection")
        return self._decoder.feed(data)

    def _disconnected(
        self, end: "_EndError", replies: list[Reply], count: int, *, is_in_doubt: bool
    ) -> DisconnectedError:
        """Return the error that tells how it ended, how far it came, and what the server said last."""
        reason = end.reason
        if count > 1:
            reason += f" after {len(replies):,} of {count:,} answers"
        if replies and isinstance(replies[-1], RemoteError):
            reason += f", the last being: {replies[-1]}"
        return DisconnectedError(self._address, reason, end.cause, is_in_doubt=is_in_doubt)

    def close(self) -> None:
        """Let go of the connection."""
        self.is_sound = False
        self._talk.close()


class _EndError(Exception):
    """The connection ended, or might as well have."""

    def __init__(self, cause: Literal["gone", "silent"], reason: str) -> None:
        super().__init__(reason)
        self.cause = cause
        self.reason = reason
