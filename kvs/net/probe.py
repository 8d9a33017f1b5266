"""Probe: whether a server answers, asked as a client would ask."""

import socket
import ssl
from typing import Final

from kvs.net.address import parse_address

PING: Final = b"PING\r\n"
PATIENCE_S: Final = 5.0


def answers(address: str, *, is_encrypted: bool = False, patience_s: float = PATIENCE_S) -> bool:
    """Tell whether the server at an address answers a PING in time; that it answers counts, and not what.

    A server that wants a password, or has too many clients, says so; it is alive.

    Args:
        address: the server's, as it says it.
        is_encrypted: it speaks TLS. Who it is does not matter: it is ours.
        patience_s: how long each step may take, in seconds.
    """
    where = parse_address(address)
    try:
        with _connect(where.path or (where.host, where.port), patience_s) as plain:
            talk = _encrypted(plain) if is_encrypted else plain
            with talk:
                talk.sendall(PING)
                return bool(talk.recv(1))
    except OSError:
        return False


def _connect(place: str | tuple[str, int], patience_s: float) -> socket.socket:
    if not isinstance(place, str):
        return socket.create_connection(place, patience_s)
    talk = socket.socket(socket.AF_UNIX)
    try:
        talk.settimeout(patience_s)
        talk.connect(place)
    except BaseException:
        talk.close()
        raise
    return talk


def _encrypted(plain: socket.socket) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(plain)
