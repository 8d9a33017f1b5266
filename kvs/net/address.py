"""Address: where a server listens, as people write it and as sockets take it.

Layout of an address as text:

    127.0.0.1:4000     localhost:4000     host and port
    [::1]:4000                            an IPv6 address stands in brackets, for it has colons of its own
    unix:/run/kvs.sock                    a Unix socket, by its path
    tls:kvs.example.org:4000              host and port, encrypted: for clients

A host alone has no default port, and a port alone no default host: some programs take `:4000` for every interface of
the machine and some for this machine only, and a store is not to be opened to the world by a guess.
"""

import re
import socket
from dataclasses import dataclass
from typing import Final

_HOST: Final = re.compile(r"\[(?P<six>[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*(?:%[\w.-]+)?)\]|(?P<name>[^\s:/\[\]@]+)", re.ASCII)
_MAX_PORT: Final = 65_535
_MAPPED: Final = bytes(10) + b"\xff\xff"
"""How an IPv6 address begins that stands for an IPv4 one, whose four bytes follow."""
_LOOPBACK_4: Final = 127
_LOOPBACK_6: Final = bytes(15) + b"\x01"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens: host and port, or the path of a Unix socket.

    Args:
        host: a name or a number, without brackets; empty for a Unix socket.
        port: 0 lets a server take any that is free.
        path: of a Unix socket, else empty.
        is_tls: the connection is encrypted.
    """

    host: str = ""
    port: int = 0
    path: str = ""
    is_tls: bool = False

    def __str__(self) -> str:
        if self.path:
            return f"unix:{self.path}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'tls:' if self.is_tls else ''}{host}:{self.port}"


def parse_address(text: str) -> Address:
    """Return the address that a text names; `str` of it is the text again.

    >>> parse_address("[::1]:4000")
    Address(host='::1', port=4000, path='', is_tls=False)

    Raises:
        ValueError: it names none; the message says in one line what was expected.
    """
    scheme, _, path = text.partition(":")
    if scheme == "unix":
        if not path or "\0" in path:
            raise ValueError(f"expected the path of a socket after 'unix:', found {path!r}")
        return Address(path=path)
    rest = text.removeprefix("tls:")
    place, colon, port = rest.rpartition(":")
    found = _HOST.fullmatch(place)
    if not colon or found is None:
        raise ValueError(_complaint(rest, text))
    if not (port.isascii() and port.isdigit()) or len(port) > len(str(_MAX_PORT)) or int(port) > _MAX_PORT:
        raise ValueError(f"expected a port from 0 to {_MAX_PORT} in {text!r}, found {port!r}")
    return Address(host=found["six"] or found["name"], port=int(port), is_tls=rest != text)


def _complaint(rest: str, text: str) -> str:
    """Return what is wrong with a text that has no host and port."""
    if rest.count(":") > 1 and "[" not in rest:
        return f"expected HOST:PORT, found {text!r}; an IPv6 address goes into brackets, as in [::1]:4000"
    if rest.startswith(":"):
        return f"expected HOST:PORT, found {text!r} without a host; 127.0.0.1{rest} is this machine alone"
    return f"expected HOST:PORT, such as 127.0.0.1:4000, or unix:PATH, found {text!r}"


def is_loopback(address: Address) -> bool:
    """Tell whether only this machine can reach the address: a Unix socket, or a host that is loopback throughout.

    0.0.0.0 and :: are every interface there is, and so not loopback. A name counts by what it resolves to now, and by
    all of it.

    Raises:
        OSError: the name cannot be resolved.
    """
    if address.path:
        return True
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return all(_is_loopback_number(family, str(place[0])) for family, _, _, _, place in found)


def _is_loopback_number(family: int, number: str) -> bool:
    """Tell it of one resolved address."""
    packed = socket.inet_pton(family, number.partition("%")[0])
    packed = packed.removeprefix(_MAPPED) if len(packed) == len(_LOOPBACK_6) else packed
    return packed == _LOOPBACK_6 or (len(packed) == 4 and packed[0] == _LOOPBACK_4)
