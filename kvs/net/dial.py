"""Dialer: from an address to a connection, plain or encrypted."""

import socket
import time
from errno import ECONNREFUSED
from typing import TYPE_CHECKING

from kvs.errors import DisconnectedError
from kvs.net.address import Address
from kvs.net.wire import Wire

if TYPE_CHECKING:
    import ssl


class Dialer:
    """Connects to one server, as often as it is asked to.

    Args:
        address: the server's.
        timeout_s: within how many seconds a connection has to stand, encryption included. Looking up a name is left to
            the system, which has its own idea of patience.
        ca_file: a file of the certificates to believe, in PEM; None for those that the system believes.

    Threads: any.
    """

    def __init__(self, address: Address, timeout_s: float, ca_file: str | None = None) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._ca_file = ca_file
        self._context: ssl.SSLContext | None = None  # made once, for reading the certificates takes time

    def dial(self) -> Wire:
        """Return a new connection.

        Raises:
            DisconnectedError: the server is not there, too slow, or not the one that its certificate should show.
        """
        until = time.monotonic() + self._timeout_s
        talk: socket.socket | None = None
        try:
            talk = self._connect()
            talk.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._address.is_tls:
                return self._encrypted(talk, until)
            return Wire(talk, str(self._address), (BlockingIOError,))
        except BaseException as error:
            if talk is not None:
                talk.close()
            if isinstance(error, TimeoutError):
                raise self._unreachable(f"no answer within {self._timeout_s:g} s") from None
            if isinstance(error, OSError | UnicodeError):  # the latter for a host that cannot be a name
                raise self._unreachable(_reason(error)) from error
            raise

    def _connect(self) -> socket.socket:
        """Connect, without encryption."""
        address = self._address
        if address.path:
            talk = socket.socket(socket.AF_UNIX)
            try:
                talk.settimeout(self._timeout_s)
                talk.connect(address.path)
            except BaseException:
                talk.close()
                raise
            return talk
        talk = socket.create_connection((address.host, address.port), self._timeout_s)
        talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if talk.getsockname() == talk.getpeername():
            # Nobody listens there, and the system happened to give that very port to our own end: TCP then connects
            # it with itself, and we would take our own commands for answers.
            talk.close()
            raise ConnectionRefusedError(ECONNREFUSED, "Connection refused")
        return talk

    def _encrypted(self, talk: socket.socket, until: float) -> Wire:
        """Agree on encryption, and see that the server is the one that it should be."""
        import ssl  # noqa: PLC0415  # 15 ms, for those who encrypt

        if self._context is None:
            self._context = ssl.create_default_context(cafile=self._ca_file)
            self._context.minimum_version = ssl.TLSVersion.TLSv1_2
        talk.settimeout(max(until - time.monotonic(), 0.001))
        encrypted = self._context.wrap_socket(talk, server_hostname=self._address.host)
        return Wire(encrypted, str(self._address), (ssl.SSLWantReadError, ssl.SSLWantWriteError))

    def _unreachable(self, reason: str) -> DisconnectedError:
        return DisconnectedError(str(self._address), reason, "unreachable")


def _reason(error: OSError | UnicodeError) -> str:
    """Say in words why there is no connection."""
    doubt = getattr(error, "verify_message", None)
    return f"its certificate is not believed: {doubt}" if doubt else getattr(error, "strerror", None) or str(error)
