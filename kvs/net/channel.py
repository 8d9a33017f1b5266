"""Channel: a socket and the conversation on it."""

import contextlib
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from kvs.net.connection import Connection

if TYPE_CHECKING:
    import ssl

RECEIVE_BYTES: Final = 16 * 1024
RECEIVE_MORE_BYTES: Final = 256 * 1024
"""How much is received at once: of a command that has begun already more, for it is a long one."""
RENEWAL_BYTES: Final = 64 * 1024
"""So much more of a command renews its deadline: a large value on a slow line arrives, one byte a minute does not."""
JOIN_BYTES: Final = 256 * 1024
"""Up to here replies are put together for one send; beyond it, copying costs more than another system call."""


class Channel:
    """A socket that does not block, and the conversation on it.

    Attributes:
        connection: the conversation.
        fd: the socket's descriptor.
        mask: what the poller watches it for.
        mark: how many replies were unsent when it joined this turn; None when it did not.
        has_ended: the client will send nothing more, or nothing more is wanted of it.
        is_working: a command of it is in the pool.
        is_late: it has a deadline for the command that has arrived in part,
        renewed_at_commands: which was last renewed when so many commands were answered,
        renewed_at_bytes: and so much of it was there.
        idle_at_commands: how many commands were answered when its time to be idle was last begun.
        is_over: closed.

    Threads: one at a time.
    """

    __slots__ = (
        "_recv",
        "_send",
        "connection",
        "fd",
        "has_ended",
        "idle_at_commands",
        "is_late",
        "is_over",
        "is_working",
        "mark",
        "mask",
        "renewed_at_bytes",
        "renewed_at_commands",
        "socket",
    )

    def __init__(self, sock: socket.socket, connection: Connection) -> None:
        self.socket = sock
        self.connection = connection
        self.fd = sock.fileno()
        self.mask = 0
        self.mark: int | None = None
        self.has_ended = False
        self.is_working = False
        self.is_late = False
        self.renewed_at_commands = 0
        self.renewed_at_bytes = 0
        self.idle_at_commands = 0
        self.is_over = False
        self._recv: Callable[[int], bytes] = sock.recv
        self._send: Callable[[bytes | memoryview], int] = sock.send

    @property
    def is_ready(self) -> bool:
        """The conversation can begin."""
        return True

    def receive(self) -> bool:
        """Take what has arrived, and carry out the commands that it completes; return whether anything had.

        Raises:
            OSError: the connection broke.
        """
        connection = self.connection
        try:
            data = self._recv(RECEIVE_BYTES if connection.decoder.is_between else RECEIVE_MORE_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self.has_ended = True
            return False
        connection.service.counts.received_bytes += len(data)
        connection.receive(data)
        return True

    def send(self) -> bool:
        """Send replies as far as the client takes them; return whether all are gone.

        Raises:
            OSError: the connection broke.
        """
        connection = self.connection
        out = connection.out
        while out:
            if len(out) > 1 and connection.out_bytes <= JOIN_BYTES:
                out[:] = [b"".join(out)]
            head = out[0]
            try:
                size = self._send(head)
            except BlockingIOError:
                return False
            connection.out_bytes -= size
            connection.service.counts.sent_bytes += size
            if size == len(head):
                del out[0]
            else:
                out[0] = memoryview(head)[size:]
        return True

    def close(self) -> None:
        """Close the socket, and end the conversation."""
        if not self.is_over:
            self.is_over = True
            self.connection.close()
            with contextlib.suppress(OSError):
                self.socket.close()


class TlsChannel(Channel):
    """A channel whose socket is encrypted. The handshake is made bit by bit, as the client's part of it arrives.

    Args:
        sock: an SSL socket that does not block and has not shaken hands.
        connection: the conversation.
    """

    __slots__ = ("_is_shaken", "_ssl")

    def __init__(self, sock: "ssl.SSLSocket", connection: Connection) -> None:
        super().__init__(sock, connection)
        self._ssl = sock
        self._is_shaken = False
        self._recv = self._decrypt
        self._send = self._encrypt

    @property
    def is_ready(self) -> bool:
        """The hands are shaken."""
        return self._is_shaken

    def receive(self) -> bool:
        """Take what has arrived, and also what was read from the socket and lies decrypted in the library."""
        has_received = super().receive()
        while self._is_shaken and not self.has_ended and self._ssl.pending():
            has_received |= super().receive()
        return has_received

    def _decrypt(self, size: int) -> bytes:
        """Receive, or go on with the handshake."""
        from ssl import SSLWantReadError, SSLWantWriteError  # noqa: PLC0415  # heavy, and of use to few

        try:
            if not self._is_shaken:
                self._ssl.do_handshake()
                self._is_shaken = True
            return self._ssl.recv(size)
        except (SSLWantReadError, SSLWantWriteError) as error:
            raise BlockingIOError from error

    def _encrypt(self, data: bytes | memoryview) -> int:
        """Send."""
        from ssl import SSLWantReadError, SSLWantWriteError  # noqa: PLC0415  # as above

        try:
            return self._ssl.send(data)
        except (SSLWantReadError, SSLWantWriteError) as error:
            raise BlockingIOError from error
