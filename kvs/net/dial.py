"""Dialer: from an address to a connection that can be used, encrypted and with the password said where that is due."""

import socket
import time
from errno import ECONNREFUSED
from typing import TYPE_CHECKING, Final

from kvs.errors import DisconnectedError, RemoteError
from kvs.net.address import Address
from kvs.net.wire import Wire
from kvs.resp.frame import encode_command

if TYPE_CHECKING:
    import ssl

KEEPALIVE_S: Final = 60
"""After so many seconds of silence the system asks whether the other host is still there."""


class Dialer:
    """Connects to one server, as often as it is asked to.

    Args:
        address: the server's.
        timeout_s: within how many seconds a connection has to stand, encryption included. Looking up a name is left to
            the system, which has its own idea of patience.
        ca_file: a file of the certificates to believe, in PEM; None for those that the system believes.
        password: what to say to a server that asks for one; None for nothing.

    Threads: any.
    """

    def __init__(self, address: Address, timeout_s: float, *, ca_file: str | None, password: str | None) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._ca_file = ca_file
        self._password = password
        self._context: ssl.SSLContext | None = None  # made once, for reading the certificates takes time

    def dial(self) -> Wire:
        """Return a new connection.

        Raises:
            DisconnectedError: the server is not there, too slow, or not the one that its certificate should show.
            RemoteError: the password is refused, or none is asked for.
        """
        wire = self._reach()
        if self._password is None:
            return wire
        try:
            self._say_password(wire, self._password)
        except BaseException:
            wire.close()
            raise
        return wire

    def _say_password(self, wire: Wire, password: str) -> None:
        """Say the password; an error says nothing of it."""
        request = encode_command([b"AUTH", password.encode("utf-8", "surrogateescape")])
        (reply,) = wire.exchange(request, 1, timeout_s=self._timeout_s)
        if isinstance(reply, RemoteError):
            raise _without(password, reply)

    def _reach(self) -> Wire:
        """Return a new connection on which nothing was said yet."""
        until = time.monotonic() + self._timeout_s
        talk: socket.socket | None = None
        try:
            talk = self._connect()
            _notice_death(talk)
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


def _notice_death(talk: socket.socket) -> None:
    """Have the system probe a silent connection: a host that lost its power never says that it is gone."""
    talk.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE") and talk.family != socket.AF_UNIX:
        talk.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)


def _reason(error: OSError | UnicodeError) -> str:
    """Say in words why there is no connection."""
    doubt = getattr(error, "verify_message", None)
    return f"its certificate is not believed: {doubt}" if doubt else getattr(error, "strerror", None) or str(error)


def _without(secret: str, error: RemoteError) -> RemoteError:
    """Return a server's error, without its words where they repeat the secret: some quote what they do not know."""
    shown = secret.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return RemoteError(f"{error.code} the password was refused") if shown in str(error) else error
