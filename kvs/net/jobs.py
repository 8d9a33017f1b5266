"""Jobs: a connection is a job. A thread of the pool has it from its first byte to its last.

The plain form: each conversation is one function that reads, answers and reads again. With a thread for each job it is
a thread per connection; with a pool of four, the fifth client waits until one of the four hangs up.
"""

import contextlib
import logging
import socket
import threading
import time
from functools import partial
from typing import TYPE_CHECKING, Final

from kvs.errors import PoolClosedError
from kvs.net.channel import RECEIVE_BYTES, RENEWAL_BYTES
from kvs.net.compaction import Compaction
from kvs.net.connection import Connection
from kvs.net.listener import NO_ROOM_PAUSE_S, Listener, NoRoomError, refuse
from kvs.net.poller import READ, Poller
from kvs.net.service import Service
from kvs.net.wakeup import Wakeup
from kvs.pool.base import ThreadPool

if TYPE_CHECKING:
    import ssl

logger = logging.getLogger(__name__)

CUT_OFF_S: Final = 1.0
"""How long a stop waits for a job whose connection was cut."""


class Jobs:
    """Serves each connection in a job of its own.

    Args:
        service: what the connections share.
        listener: where they come from.
        pool: who serves them.
        tls: the certificate and the rules, where connections are encrypted.

    Attributes:
        wakeup: how to ask for something, from any thread.

    Threads: the one in `run` accepts; the lock guards the set of open sockets, which a stop has to find.
    """

    def __init__(
        self,
        service: Service,
        listener: Listener,
        pool: ThreadPool,
        tls: "ssl.SSLContext | None" = None,
    ) -> None:
        self._service = service
        self._listener = listener
        self._pool = pool
        self._tls = tls
        self._lock = threading.Lock()
        self._all_gone = threading.Condition(self._lock)
        self._sockets: set[socket.socket] = set()
        self._compaction = Compaction(service, pool)
        self.wakeup = Wakeup()

    def run(self) -> None:
        """Accept clients until asked to stop; then wait for those who are here, as long as they may take."""
        poller = Poller()
        poller.register(self.wakeup.fd, READ)
        poller.register(self._listener.fd, READ)
        try:
            while not self.wakeup.stop_is_wanted:
                poller.wait(None)
                self.wakeup.drain()
                self._accept()
                if self.wakeup.compaction_is_wanted:
                    self.wakeup.compaction_is_wanted = False
                    self._compaction.begin()
        finally:
            self._service.is_stopping = True
            poller.close()
            self._listener.close()
            self._drain()
            self.close()

    def close(self) -> None:
        """Close whatever is left. Twice is fine."""
        self._listener.close()
        self.wakeup.close()

    def _accept(self) -> None:
        """Give every client that waits to the pool."""
        try:
            while (arrived := self._listener.accept()) is not None:
                self._take_on(*arrived)
        except NoRoomError:
            self._service.counts.rejected += 1
            logger.warning("out of file descriptors: a client was turned away")
            time.sleep(NO_ROOM_PAUSE_S)  # or the next turn would try in vain

    def _take_on(self, sock: socket.socket, peer: str, host: str) -> None:
        """Give a client to the pool, or send it away."""
        is_full = len(self._sockets) >= self._service.options.max_clients or not self._listener.has_room(sock)
        if not is_full:
            with self._lock:
                self._sockets.add(sock)
            try:
                self._pool.spawn(partial(self._converse, sock, peer, host))
            except PoolClosedError:
                self.wakeup.stop_soon()
            except RuntimeError as error:  # no thread to be had
                logger.warning("a client was turned away: %s", error)
            else:
                return
            self._let_go(sock)
        self._service.counts.rejected += 1
        refuse(sock)
        sock.close()

    def _let_go(self, sock: socket.socket) -> None:
        """A socket is of no concern to a stop any more."""
        with self._lock:
            self._sockets.discard(sock)
            self._all_gone.notify_all()

    def _converse(self, sock: socket.socket, peer: str, host: str) -> None:
        """Serve one client from its first byte to its last."""
        connection = Connection(self._service, peer, host, since=time.time())
        connection.close_soon = partial(_hang_up_soon, connection, sock)
        self._service.add(connection)
        try:
            if self._tls is not None:
                sock = self._encrypt(self._tls, sock)
                connection.close_soon = partial(_hang_up_soon, connection, sock)
                sock.settimeout(self._service.options.frame_timeout_s)
                sock.do_handshake()
            self._talk(sock, connection)
        except TimeoutError:
            self._service.counts.overdue += 1
            logger.info("%s: not done in time; closed", peer)
        except OSError:
            pass  # the client is gone
        finally:
            sock.close()  # first, so that whoever sees the connection gone finds its descriptor free
            connection.close()
            self._let_go(sock)

    def _encrypt(self, tls: "ssl.SSLContext", sock: socket.socket) -> "ssl.SSLSocket":
        """Return the encrypted socket that takes this one's place; the hands are still to be shaken.

        Raises:
            OSError: the client is gone already.
        """
        encrypted = tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        with self._lock:
            self._sockets.discard(sock)
            self._sockets.add(encrypted)
        return encrypted

    def _talk(self, sock: socket.socket, connection: Connection) -> None:
        """Read, answer, and read again, until either side has had enough.

        Raises:
            OSError: the connection broke; TimeoutError: the client took too long.
        """
        options, counts = self._service.options, self._service.counts
        patience = _Patience(connection)
        while not connection.is_closing:
            sock.settimeout(patience.seconds())
            data = sock.recv(RECEIVE_BYTES)
            if not data:
                return
            counts.received_bytes += len(data)
            connection.service.now_s = time.monotonic()
            connection.receive(data)
            sock.settimeout(options.send_timeout_s)
            while connection.out:
                whole = memoryview(b"".join(connection.out))
                connection.out.clear()
                connection.out_bytes = 0
                while whole:  # sendall would want all of it taken within the time, however much it is
                    size = sock.send(whole)
                    counts.sent_bytes += size
                    whole = whole[size:]
                connection.proceed()  # with more than one may wait for, the rest was held back

    def _drain(self) -> None:
        """Let every job finish the commands that it has received; cut off those who take too long."""
        with self._lock:
            for sock in self._sockets:
                _stop_reading(sock)
            self._all_gone.wait_for(lambda: not self._sockets, self._service.options.drain_timeout_s)
            for sock in self._sockets:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            self._all_gone.wait_for(lambda: not self._sockets, CUT_OFF_S)


class _Patience:
    """How long one client is waited for.

    Args:
        connection: the conversation with it.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._options = connection.service.options
        self._until_s = 0.0
        self._commands = -1  # how many were answered when the time of the one that is arriving began,
        self._bytes = 0  # and how much of it was there

    def seconds(self) -> float | None:
        """Return how long to wait for the next bytes, in seconds; None for as long as it takes.

        A command that has begun has a time in which it must come whole; see ServerOptions.

        Raises:
            TimeoutError: it is over.
        """
        commands, decoder = self._connection.commands, self._connection.decoder
        if decoder.is_between:
            self._commands = -1
            return self._options.idle_timeout_s or None
        now_s = time.monotonic()
        if commands != self._commands or decoder.pending_bytes >= self._bytes + RENEWAL_BYTES:
            self._commands, self._bytes = commands, decoder.pending_bytes
            self._until_s = now_s + self._options.frame_timeout_s
        if now_s >= self._until_s:
            raise TimeoutError
        return self._until_s - now_s


def _hang_up_soon(connection: Connection, sock: socket.socket) -> None:
    """Let the job that has this connection end it, when the command that runs is answered. From any thread."""
    connection.is_closing = True
    _stop_reading(sock)


def _stop_reading(sock: socket.socket) -> None:
    """Let the job that reads this socket find its end.

    The plain socket's own shutdown: that of an encrypted one would have the last replies sent unencrypted.
    """
    with contextlib.suppress(OSError):
        socket.socket.shutdown(sock, socket.SHUT_RD)
