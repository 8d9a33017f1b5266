"""Listener: the socket at which clients arrive."""

import contextlib
import errno
import logging
import os
import resource
import socket
import stat
from typing import Final

from kvs.errors import StorageError
from kvs.net.address import Address

logger = logging.getLogger(__name__)

BACKLOG: Final = 1024
NO_ROOM_PAUSE_S: Final = 0.1
"""How long nobody is accepted after the system was out of descriptors: else every turn would try in vain."""
FULL: Final = b"-ERR max number of clients reached\r\n"
KEPT_FDS: Final = 32
"""So many descriptors are the store's: without one it could begin no new segment, and every write would fail."""
UNSENT_BYTES: Final = 128 * 1024
"""How much the system keeps for a client whose window is full. With megabytes, as is usual, one that takes its replies
slowly would look for a minute as if it took none."""
_NOTSENT_LOWAT: Final[int | None] = getattr(socket, "TCP_NOTSENT_LOWAT", None)
_SHORTAGE: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_MISUSE: Final = {errno.EBADF, errno.EINVAL, errno.ENOTSOCK, errno.EOPNOTSUPP}


class NoRoomError(Exception):
    """The system has no descriptor left for another connection."""


class Listener:
    """A listening socket that does not block.

    Args:
        address: where; port 0 takes any that is free.

    Attributes:
        address: where it listens really.

    Raises:
        StorageError: the address is taken, or not ours.
    """

    def __init__(self, address: Address) -> None:
        self._spare: int | None = None
        try:
            self.socket = _listen_unix(address.path) if address.path else _listen_tcp(address)
        except OSError as error:
            raise StorageError(f"cannot listen on {address}: {error.strerror or error}") from error
        self.socket.setblocking(False)
        self.fd = self.socket.fileno()
        self.address = address if address.path else Address(address.host, self.socket.getsockname()[1])
        self._inode = os.stat(address.path).st_ino if address.path else None
        self._first_kept_fd = _first_kept_fd()
        self._keep_spare()

    def accept(self) -> tuple[socket.socket, str, str] | None:
        """Return the next client's socket, its address and its host, or None when nobody waits.

        Raises:
            NoRoomError: the system is out of descriptors; one client was told so and sent away, if that could be done.
        """
        while True:
            try:
                sock, place = self.socket.accept()
            except BlockingIOError:
                return None
            except OSError as error:
                if error.errno in _SHORTAGE:
                    self._turn_away()
                    raise NoRoomError from error
                if error.errno in _MISUSE:
                    raise
                continue  # that one client is gone again
            sock.setblocking(False)
            if self.address.path:
                return sock, self.address.path, self.address.path
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if _NOTSENT_LOWAT is not None:
                    sock.setsockopt(socket.IPPROTO_TCP, _NOTSENT_LOWAT, UNSENT_BYTES)
            host = f"[{place[0]}]" if ":" in place[0] else place[0]
            return sock, f"{host}:{place[1]}", host

    def has_room(self, sock: socket.socket) -> bool:
        """Tell whether a client can be taken on without using up the descriptors that are kept for the store.

        The system gives out the lowest number that is free: so the number says how many are taken.
        """
        return sock.fileno() < self._first_kept_fd

    def _keep_spare(self) -> None:
        """Hold a descriptor back, so that there is one to tell a client with that there are none."""
        with contextlib.suppress(OSError):
            self._spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def _turn_away(self) -> None:
        """Tell one waiting client that there is no room; else it would wait, and wake us again and again."""
        if self._spare is None:
            return
        os.close(self._spare)
        self._spare = None
        with contextlib.suppress(OSError):
            sock, _ = self.socket.accept()
            with sock:
                refuse(sock)
        self._keep_spare()

    def close(self) -> None:
        """Listen no more; a Unix socket's name goes too, if it is still ours."""
        self.socket.close()
        if self._spare is not None:
            os.close(self._spare)
            self._spare = None
        if self.address.path:
            with contextlib.suppress(OSError):
                if os.stat(self.address.path).st_ino == self._inode:
                    os.unlink(self.address.path)


def allow_many_descriptors() -> None:
    """Let this process have as many descriptors as the system allows it: each client and each segment needs one.

    A shell's usual limit is 1,024, while the one that can be had without rights is much higher.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(OSError, ValueError):  # macOS has a lower limit than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _first_kept_fd() -> int:
    """Return the number of the first descriptor that no client gets."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    most = limit if limit != resource.RLIM_INFINITY else 1 << 30
    return most - min(KEPT_FDS, most // 4)


def refuse(sock: socket.socket) -> None:
    """Tell a client that there are too many."""
    with contextlib.suppress(OSError):
        sock.setblocking(False)
        sock.send(FULL)


def _listen_tcp(address: Address) -> socket.socket:
    """Return a socket that listens at a host and port."""
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    family, kind, protocol, _, place = found[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or a restart would wait for old connections
        sock.bind(place)
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _listen_unix(path: str) -> socket.socket:
    """Return a socket that listens at a path. One left by a server that is dead is replaced."""
    _clear_stale(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(path)
        os.chmod(path, stat.S_IRUSR | stat.S_IWUSR)  # before it listens: nobody else ever gets in
        sock.listen(BACKLOG)
    except BaseException:
        sock.close()
        raise
    return sock


def _clear_stale(path: str) -> None:
    """Take away a socket that nobody listens at. Any other file is not ours, and bind will say that it is there."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            os.unlink(path)
