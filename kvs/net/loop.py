"""The loop: one thread that waits for whatever is ready, and serves it in place.

A turn: ask the poller which sockets are ready; take what arrived on each and carry out its commands; then send all the
replies. A command that may take long goes to the pool, and its connection waits for it while the others go on.

Where writes are gathered, the changes of a turn are written as one batch before anybody is answered: the clients of a
turn share one fsync (group commit).

Why one thread: with a GIL, handing a command to another thread costs more than the command. docs/protocol.md has the
figures.
"""

import contextlib
import logging
import socket
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Final

from kvs.net.channel import RENEWAL_BYTES, Channel, TlsChannel
from kvs.net.compaction import Compaction
from kvs.net.connection import Connection, error_reply
from kvs.net.deadlines import Deadlines
from kvs.net.listener import NO_ROOM_PAUSE_S, Listener, NoRoomError, refuse
from kvs.net.poller import READ, WRITE, Poller
from kvs.net.service import Service
from kvs.net.staged import Staged
from kvs.net.wakeup import Wakeup
from kvs.pool.base import ThreadPool

if TYPE_CHECKING:
    import ssl

logger = logging.getLogger(__name__)

GATHERED_BYTES: Final = 8 * 1024 * 1024
"""A turn whose changes are more than this is ended early."""
ACCEPTED_A_TURN: Final = 64
LAST_TURNS: Final = 64
"""Turns in which what had arrived before a stop is still taken: who never ceases to send cannot put the stop off."""


class Loop:
    """Serves all connections in the thread that calls `run`.

    Args:
        service: what the connections share.
        listener: where they come from.
        pool: what may block runs there.
        tls: the certificate and the rules, where connections are encrypted.

    Attributes:
        wakeup: how to ask the loop for something, from any thread.

    Threads: all but `wakeup` is the loop's own; what the pool has done comes back through `_done`, a deque, whose
    append and popleft are atomic.
    """

    defers = True

    def __init__(
        self,
        service: Service,
        listener: Listener,
        pool: ThreadPool,
        tls: "ssl.SSLContext | None" = None,
    ) -> None:
        self._service = service
        self._staged = service.staged
        self._listener = listener
        self._pool = pool
        self._tls = tls
        self._channels: dict[int, Channel] = {}
        self._joined: list[Channel] = []  # those to be answered at the end of the turn
        self._to_work: list[Channel] = []  # those with work for the pool
        self._done: deque[tuple[Channel, bytes]] = deque()
        self._killed: deque[Channel] = deque()
        options = service.options
        self._frames = Deadlines[Channel](options.frame_timeout_s)
        self._sends = Deadlines[Channel](options.send_timeout_s)
        self._idles = Deadlines[Channel](options.idle_timeout_s)
        self._stop_at_s: float | None = None  # on the way out: when what is left is cut off
        self._accept_at_s: float | None = None  # while nobody is accepted: until when
        self._now_s = time.monotonic()
        self._poller = Poller()
        self.wakeup = Wakeup()
        self._compaction = Compaction(service, pool)
        self._poller.register(self.wakeup.fd, READ)
        self._poller.register(listener.fd, READ)

    def run(self) -> None:
        """Serve until asked to stop."""
        try:
            while self._stop_at_s is None or (self._channels and self._now_s < self._stop_at_s):
                ready = self._poller.wait(self._patience())
                self._now_s = self._service.now_s = time.monotonic()
                self._turn(ready)
        finally:
            self.close()

    def _patience(self) -> float | None:
        """Return how long to wait for sockets before something else is due, in seconds; None for ever."""
        due = [self._stop_at_s, self._accept_at_s, self._frames.next(), self._sends.next(), self._idles.next()]
        first = min((each for each in due if each is not None), default=None)
        return None if first is None else max(first - time.monotonic(), 0)

    def _turn(self, ready: list[tuple[int, int]]) -> None:
        """Serve the sockets that are ready, then whatever else is due."""
        channels, staged = self._channels, self._staged
        for fd, event in ready:
            channel = channels.get(fd)
            if channel is None:
                self._see_to_own(fd)
                continue
            self._serve(channel, event)
            if staged is not None and staged.changed_bytes > GATHERED_BYTES:
                self._end_turn()
        while self._done:
            self._take_back(*self._done.popleft())
        while self._killed:
            self._kill(self._killed.popleft())
        self._end_turn()
        while self._to_work:
            self._give_to_pool(self._to_work.pop())
        self._look_at_clock()
        self._look_at_wishes()

    def _see_to_own(self, fd: int) -> None:
        """Serve a descriptor that is no connection's."""
        if fd == self.wakeup.fd:
            self.wakeup.drain()
        elif fd == self._listener.fd:
            self._accept()

    def _look_at_wishes(self) -> None:
        """Do what was asked for from outside."""
        if self.wakeup.compaction_is_wanted:
            self.wakeup.compaction_is_wanted = False
            self._compaction.begin()
        if self.wakeup.stop_is_wanted and self._stop_at_s is None:
            self._begin_to_stop()

    # One connection.

    def _serve(self, channel: Channel, event: int) -> None:
        """Do what a socket is ready for."""
        self._join_turn(channel)
        try:
            if event & WRITE:
                self._sends.end(channel)  # it takes something again
            if channel.mask & READ and event & ~WRITE:
                channel.receive()
            elif event & ~(READ | WRITE):  # reset, and there is nobody to read what we still have
                self._drop(channel)
        except OSError:
            self._drop(channel)
        except Exception as error:  # noqa: BLE001  # it has to stay with this one connection
            self._give_up(channel, error)

    def _join_turn(self, channel: Channel) -> None:
        """Note that a connection is to be answered at the end of the turn."""
        if channel.mark is None:
            channel.mark = len(channel.connection.out)
            self._joined.append(channel)

    def _end_turn(self) -> None:
        """Write what was staged as one batch, then answer everybody who joined, or tell everybody that it failed.

        All are answered after all were heard, also where nothing is staged: so the clients, waking up once, send
        their next commands together, and the next turn has more to do. That is a fifth more commands a second.
        """
        while self._joined:
            joined, self._joined = self._joined, []
            if self._staged is not None:
                self._commit(self._staged, joined)
            for channel in joined:
                channel.mark = None
                try:
                    if not channel.is_over:
                        self._settle(channel)
                except OSError:
                    self._drop(channel)
                except Exception as error:  # noqa: BLE001  # as in `_serve`
                    self._give_up(channel, error)

    def _commit(self, staged: Staged, joined: list[Channel]) -> None:
        """Write what was staged; when that fails, everybody's answer is the error."""
        try:
            staged.commit()
        except Exception as error:  # noqa: BLE001  # whatever an engine raises, those who asked have to be told
            reply = error_reply(error)
            for channel in joined:
                channel.connection.spoil(channel.mark or 0, reply)

    def _settle(self, channel: Channel) -> None:
        """Send what there is to send, and see what the connection needs next.

        Raises:
            OSError: the connection broke.
        """
        connection = channel.connection
        is_sent = channel.send()
        if (  # the usual case, and it has to be quick: everything answered, and nothing else to see to
            is_sent
            and channel.mask == READ
            and connection.decoder.is_between
            and not (connection.waiting or channel.is_late or channel.has_ended or connection.is_closing)
            and connection.work is None
        ):
            return
        if is_sent and connection.waiting and connection.work is None:  # held back until its replies were taken
            self._join_turn(channel)
            connection.proceed()
            return
        if connection.work is not None and not channel.is_working:
            channel.is_working = True
            self._to_work.append(channel)
        if is_sent and (channel.has_ended or connection.is_closing) and connection.work is None:
            self._drop(channel)
        else:
            self._watch(channel, is_sent=is_sent)

    def _watch(self, channel: Channel, *, is_sent: bool) -> None:
        """Set what the poller watches a socket for, and until when it has to be done."""
        connection = channel.connection
        mask = 0 if connection.is_held or channel.has_ended or connection.is_closing else READ
        is_read = mask == READ
        if is_sent:
            self._sends.end(channel)
        else:
            mask |= WRITE
            self._sends.begin(channel, self._now_s)
        if mask != channel.mask:
            channel.mask = mask
            self._poller.modify(channel.fd, mask)
        if not is_read or (connection.decoder.is_between and channel.is_ready):
            channel.is_late = False  # nothing is awaited of the client, or nothing would be heard now
            self._frames.end(channel)
        else:
            self._limit_frame(channel)

    def _limit_frame(self, channel: Channel) -> None:
        """Give the command that has arrived in part its time; again if it is another one, or has come a good deal on.

        A client that sends many commands in one stream is always in the middle of one.
        """
        commands, pending_bytes = channel.connection.commands, channel.connection.decoder.pending_bytes
        is_new = not channel.is_late or commands != channel.renewed_at_commands
        if is_new or pending_bytes >= channel.renewed_at_bytes + RENEWAL_BYTES:
            channel.is_late = True
            channel.renewed_at_commands, channel.renewed_at_bytes = commands, pending_bytes
            self._frames.renew(channel, self._now_s)

    def _give_up(self, channel: Channel, error: Exception) -> None:
        """Drop a connection over an error that nobody foresaw, such as too little memory. The others go on."""
        logger.error("%s: given up", channel.connection.peer, exc_info=error)
        self._drop(channel)

    def _drop(self, channel: Channel) -> None:
        """Close a connection, and forget it."""
        if channel.is_over:
            return
        del self._channels[channel.fd]
        with contextlib.suppress(OSError, KeyError):
            self._poller.unregister(channel.fd)
        for deadlines in (self._frames, self._sends, self._idles):
            deadlines.end(channel)
        channel.close()

    # What may block.

    def _give_to_pool(self, channel: Channel) -> None:
        """Have the connection's work done by the pool."""
        try:
            self._pool.spawn(partial(self._do, channel))
        except RuntimeError:  # the pool is closed, or there is no thread to be had
            self._do(channel)

    def _do(self, channel: Channel) -> None:
        """Do the connection's work. In a thread of the pool: the connection is ours alone until it is in `_done`."""
        work = channel.connection.work
        reply = work() if work is not None else b""
        self._done.append((channel, reply))
        self.wakeup.wake()

    def _take_back(self, channel: Channel, reply: bytes) -> None:
        """Go on with a connection whose work is done."""
        channel.is_working = False
        if channel.is_over:
            return
        self._join_turn(channel)
        channel.connection.finish(reply)

    # Coming and going.

    def _accept(self) -> None:
        """Take on the clients that wait, a limited number a turn, so that those who are here are not forgotten."""
        for _ in range(ACCEPTED_A_TURN):
            try:
                arrived = self._listener.accept()
            except NoRoomError:
                logger.warning("out of file descriptors: a client was turned away")
                self._service.counts.rejected += 1
                self._poller.modify(self._listener.fd, 0)
                self._accept_at_s = self._now_s + NO_ROOM_PAUSE_S
                return
            if arrived is None:
                return
            sock, peer, host = arrived
            if len(self._channels) >= self._service.options.max_clients or not self._listener.has_room(sock):
                self._service.counts.rejected += 1
                refuse(sock)
                sock.close()
            else:
                try:
                    self._take_on(sock, peer, host)
                except OSError:  # it is gone again, before it was here
                    sock.close()

    def _take_on(self, sock: socket.socket, peer: str, host: str) -> None:
        """Begin a conversation.

        Raises:
            OSError: the client is gone already.
        """
        tls = self._tls and self._tls.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
        connection = Connection(self._service, peer, host, since=time.time(), defers=self.defers)
        channel = TlsChannel(tls, connection) if tls else Channel(sock, connection)
        connection.close_soon = partial(self._kill_soon, channel)
        self._service.add(connection)
        self._channels[channel.fd] = channel
        channel.mask = READ
        self._poller.register(channel.fd, READ)
        self._idles.begin(channel, self._now_s)
        if not channel.is_ready:
            channel.is_late = True
            self._frames.begin(channel, self._now_s)  # a handshake has the time of a command

    def _kill_soon(self, channel: Channel) -> None:
        """Close a connection at the end of the turn. From any thread."""
        self._killed.append(channel)
        self.wakeup.wake()

    def _kill(self, channel: Channel) -> None:
        """Close a connection: at once, or when the command that runs for it is answered."""
        if not channel.is_over:
            channel.connection.hang_up()
            self._join_turn(channel)

    def _look_at_clock(self) -> None:
        """Close the connections whose time is over, and accept again after a pause."""
        now_s = self._now_s
        for deadlines in (self._frames, self._sends):
            for channel in deadlines.expire(now_s):
                if channel.is_working:
                    deadlines.begin(channel, now_s)  # it waits for us
                    continue
                logger.info("%s: not done in time; closed", channel.connection.peer)
                self._service.counts.overdue += 1
                self._drop(channel)
        for channel in self._idles.expire(now_s):
            self._end_idleness(channel)
        if self._accept_at_s is not None and now_s >= self._accept_at_s:
            self._accept_at_s = None
            self._poller.modify(self._listener.fd, READ)

    def _end_idleness(self, channel: Channel) -> None:
        """Close a connection on which nothing happened since its time began; if something did, begin it again.

        So nothing is to be noted as it happens, and a connection is closed after once to twice the time.
        """
        connection = channel.connection
        is_busy = channel.is_working or channel.is_late or connection.out or connection.waiting
        if is_busy or connection.commands != channel.idle_at_commands:
            channel.idle_at_commands = connection.commands
            self._idles.begin(channel, self._now_s)
        else:
            self._drop(channel)

    # The end.

    def _begin_to_stop(self) -> None:
        """Accept nobody any more, and take only what has arrived already."""
        self._stop_at_s = self._now_s + self._service.options.drain_timeout_s
        self._accept_at_s = None
        self._service.is_stopping = True
        self._poller.unregister(self._listener.fd)
        self._listener.close()
        for _ in range(LAST_TURNS):
            heard_bytes = self._service.counts.received_bytes
            for channel in list(self._channels.values()):
                if channel.mask & READ:
                    self._serve(channel, READ)
            self._end_turn()
            if self._service.counts.received_bytes == heard_bytes:
                break
        for channel in list(self._channels.values()):
            channel.has_ended = True
            if not channel.is_working:  # who works on it will notice
                self._join_turn(channel)
        self._end_turn()

    def close(self) -> None:
        """Close whatever is left. Twice is fine."""
        self._listener.close()
        for channel in list(self._channels.values()):
            self._drop(channel)
        self._poller.close()
        self.wakeup.close()
