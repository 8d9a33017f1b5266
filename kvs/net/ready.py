"""The ready queue: one thread waits for whatever is ready, and the threads of a pool serve it.

    1. The poller reports a socket that is ready. It is told to be silent about it, and the pool gets a job.
    2. A worker takes what arrived, carries out its commands, sends the replies.
    3. It tells the poller to watch the socket again: now the next worker may have it.

So a connection that is idle holds no worker, and one connection is never served by two at once. On a build without a
GIL commands of different clients run at the same time; with one, the hand-off costs more than it brings, see
docs/protocol.md.

A worker that gives a channel back and the loop that wants its end must not miss each other:
    1. The worker sees that nothing is left to be seen to.
    2. The loop notes that the channel is to end, and sees that a worker has it: the worker will notice.
    3. The worker gives it back, and nobody ever looks at it again.
Therefore the worker looks once more after it has given the channel back: one of the two sees what the other did.
"""

import contextlib
import logging
from functools import partial

from kvs.net.channel import Channel
from kvs.net.loop import LAST_TURNS, Loop
from kvs.net.poller import READ, WRITE

logger = logging.getLogger(__name__)


class Ready(Loop):
    """A loop that has its connections served by the pool, and itself sees to all that is not usual.

    Threads: while a channel's `is_working` is set, it belongs to a worker. The worker gives it back by watching the
    socket again, or, where something is left to be seen to, through `_done`.
    """

    defers = False

    def _serve(self, channel: Channel, event: int) -> None:
        """Give a socket that is ready to the pool."""
        if channel.is_working:
            # It hung up. The worker will notice; told to us again and again, it would keep us busy until then.
            with contextlib.suppress(OSError, KeyError):
                self._poller.unregister(channel.fd)
            self._end_if_free(channel)
            return
        may_read = bool(channel.mask & READ and event & ~WRITE)
        if not (may_read or event & WRITE):
            super()._serve(channel, event)
            return
        if event & WRITE:
            self._sends.end(channel)  # it takes something again
        channel.is_working = True
        channel.mask = 0
        job = partial(self._serve_in_pool, channel, may_read=may_read)
        try:
            self._poller.modify(channel.fd, 0)
            self._pool.spawn(job)
        except OSError:  # it hung up, and is not watched any more
            channel.is_working = False
            self._drop(channel)
        except RuntimeError:  # the pool is closed, or there is no thread to be had
            job()

    def _serve_in_pool(self, channel: Channel, *, may_read: bool) -> None:
        """Take what arrived, answer it, and give the channel back. In a thread of the pool."""
        connection = channel.connection
        was_slow = bool(connection.out)  # then it has a deadline, which the loop has to end
        is_sent = False
        try:
            has_received = may_read and channel.receive()
            is_sent = channel.send()
            for _ in range(LAST_TURNS):
                if not (is_sent and has_received and connection.service.is_stopping):
                    break
                has_received = channel.receive()  # what has arrived before a stop is still taken
                is_sent = channel.send()
            while is_sent and connection.waiting:  # held back until its replies were taken
                connection.proceed()
                is_sent = channel.send()
        except OSError:
            channel.has_ended = True
        except Exception:  # it has to stay with this one connection
            logger.exception("%s: given up", connection.peer)
            channel.has_ended = True
            connection.hang_up()
        needs_care = was_slow or channel.is_late or channel.has_ended or connection.is_closing
        if is_sent and connection.decoder.is_between and not needs_care:
            self._give_back(channel)
        else:
            self._done.append((channel, b""))
            self.wakeup.wake()

    def _give_back(self, channel: Channel) -> None:
        """Have the socket watched again. From then on another worker may have the channel."""
        channel.mask = READ
        channel.is_working = False
        try:
            self._poller.modify(channel.fd, READ)
        except OSError:  # it hung up, and is not watched any more
            channel.has_ended = True
        if channel.has_ended or channel.connection.is_closing:
            self._kill_soon(channel)

    def _end_if_free(self, channel: Channel) -> None:
        """End a channel that was given back between the loop's look and its deed: nobody else will notice it."""
        if not channel.is_working:
            self._kill_soon(channel)

    def _take_back(self, channel: Channel, _reply: bytes) -> None:
        """See to a channel that a worker had."""
        channel.is_working = False
        self._join_turn(channel)

    def _kill(self, channel: Channel) -> None:
        """Close a connection: at once, or when the worker that has it is done."""
        channel.connection.is_closing = True
        if not channel.is_working:
            super()._kill(channel)
