"""The ready queue: one thread waits for whatever is ready, and the threads of a pool serve it.

    1. The poller reports a socket that is ready. It is told to be silent about it, and the pool gets a job.
    2. A worker takes what arrived, carries out its commands, sends the replies.
    3. It tells the poller to watch the socket again: now the next worker may have it.

So a connection that is idle holds no worker, and one connection is never served by two at once. On a build without a
GIL commands of different clients run at the same time; with one, the hand-off costs more than it brings, see
docs/protocol.md.
"""

from functools import partial

from kvs.errors import PoolClosedError
from kvs.net.channel import Channel
from kvs.net.loop import Loop
from kvs.net.poller import READ, WRITE


class Ready(Loop):
    """A loop that has its connections served by the pool, and itself sees to all that is not usual.

    Threads: while a channel's `is_working` is set, it belongs to a worker. The worker gives it back by watching the
    socket again, or, where something is left to be seen to, through `_done`.
    """

    defers = False

    def _serve(self, channel: Channel, event: int) -> None:
        """Give a socket that is ready to the pool."""
        if channel.is_working:
            return  # an error on a socket that a worker has: it will notice
        if event & WRITE or not channel.mask & READ:
            super()._serve(channel, event)
            return
        channel.is_working = True
        channel.mask = 0
        self._poller.modify(channel.fd, 0)
        try:
            self._pool.spawn(partial(self._serve_in_pool, channel))
        except PoolClosedError:
            self._serve_in_pool(channel)

    def _serve_in_pool(self, channel: Channel) -> None:
        """Take what arrived, answer it, and give the channel back. In a thread of the pool."""
        connection = channel.connection
        try:
            channel.receive()
            is_sent = channel.send()
        except OSError:
            channel.has_ended = True
            is_sent = False
        if (
            is_sent
            and connection.decoder.is_between
            and not (connection.waiting or channel.is_late or channel.has_ended or connection.is_closing)
        ):
            channel.is_working = False
            channel.mask = READ
            self._poller.modify(channel.fd, READ)  # from here on another worker may have it
        else:
            self._done.append((channel, b""))
            self.wakeup.wake()

    def _take_back(self, channel: Channel, _reply: bytes) -> None:
        """See to a channel that a worker had."""
        channel.is_working = False
        self._join_turn(channel)
