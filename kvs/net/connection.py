"""Connection: one client's conversation without its socket. Bytes go in, reply bytes come out.

Whoever has the socket calls `receive` with what arrived, sends what is in `out`, and looks at `work` and `is_closing`.
So a test is a list of bytes, and every design of server runs this same code.

Invariants:
    1. Replies stand in `out` in the order of the commands, one for each.
    2. While `work` is set, or `out` holds more than the limit, no further command begins.
    3. After `is_closing` no further command begins; what is in `out` is still to be sent.
"""

import logging
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Final

from kvs.engine import Engine
from kvs.errors import KvsError, WritesRefusedError
from kvs.net.service import Service
from kvs.resp import frame
from kvs.resp.command import Command, CommandError, unknown, wrong_arity
from kvs.resp.decoder import CommandDecoder

logger = logging.getLogger(__name__)

_NONE_QUICK: Final[dict[bytes, Command]] = {}
_HTTP: Final = {"post", "host:"}


class Connection:
    """One client's conversation.

    Args:
        service: what all connections of the server share.
        peer: who is at the other end, as an address.
        host: the same without the port: whose guesses at the password are counted together.
        defers: commands that may block are left in `work` for somebody else to run, not run in place.

    Attributes:
        decoder: what makes commands of what arrives.
        waiting: commands that have arrived and are not begun.
        out: replies to be sent.
        out_bytes: how many bytes they are.
        work: a command that may block: to be called, in any thread, and its result given to `finish`.
        is_closing: to be closed when `out` is sent.

    Threads: one at a time, `close_soon` apart.
    """

    __slots__ = (
        "_most_out",
        "_quick",
        "close_soon",
        "commands",
        "decoder",
        "defers",
        "errors",
        "heard_at_s",
        "host",
        "id",
        "is_closing",
        "is_dirty",
        "is_trusted",
        "last_command",
        "library",
        "name",
        "out",
        "out_bytes",
        "peer",
        "protocol",
        "queue",
        "queue_is_broken",
        "service",
        "since",
        "space",
        "waiting",
        "watched",
        "work",
    )

    def __init__(self, service: Service, peer: str, host: str, *, since: float, defers: bool = False) -> None:
        self.service = service
        self.peer = peer
        self.host = host
        self.since = since
        self.heard_at_s = service.now_s
        self.defers = defers
        self.id = 0
        self.close_soon: Callable[[], None] = lambda: None
        self.protocol = 2
        self.name = b""
        self.library = {b"lib-name": b"", b"lib-ver": b""}
        self.last_command = ""
        self.commands = 0
        self.errors = 0
        self.space: Engine = service.space
        self.queue: list[tuple[Command, list[bytes]]] | None = None
        self.queue_is_broken = False
        self.watched: set[bytes] = set()
        self.is_dirty = False
        self.out: list[bytes | memoryview] = []
        self.out_bytes = 0
        self.work: Callable[[], bytes] | None = None
        self.is_closing = False
        self.decoder = CommandDecoder()
        self.waiting: deque[list[bytes]] = deque()
        self.is_trusted = service.options.password is None
        self.settle()

    def has_work(self) -> bool:
        """A command is in `work`: no other may begin."""
        return self.work is not None

    @property
    def is_held(self) -> bool:
        """No more is to be received for now: commands wait, for their turn or for replies to be taken."""
        return bool(self.waiting) or self.work is not None or self.out_bytes > self._most_out

    def receive(self, data: bytes) -> None:
        """Take bytes that arrived, and carry out the commands that they complete."""
        self.heard_at_s = self.service.now_s
        self.waiting.extend(self.decoder.feed(data))
        self.proceed()

    def proceed(self) -> None:
        """Carry out what waits, until nothing does, or one may block, or too much is waiting to be sent.

        One straight loop for the commands that most traffic is made of, 0.6 µs each beside what the engine takes; all
        others go through `_answer`.
        """
        if self.work is not None:
            return
        waiting, out = self.waiting, self.out
        before = len(out)
        while waiting and self.out_bytes <= self._most_out:
            args = waiting.popleft()
            command = self._quick.get(args[0])
            try:
                if command is not None and (len(args) == command.arity or 0 < -command.arity <= len(args)):
                    self.last_command = command.name
                    reply = command.run(self, args)
                else:
                    reply = self._answer(args)
                    if self.has_work():
                        break
            except Exception as error:  # noqa: BLE001  # whatever an engine raises, the connection lives
                reply = error_reply(error)
                self.errors += 1
            out.append(reply)
            self.out_bytes += len(reply)
        self.commands += len(out) - before
        if self.decoder.fault is not None or not self.is_trusted:
            self._look_at_stream()

    def finish(self, reply: bytes) -> None:
        """Take the reply of the work that was to be done, and go on."""
        self.work = None
        self.out.append(reply)
        self.out_bytes += len(reply)
        self.commands += 1
        self.proceed()

    def spoil(self, since: int, reply: bytes) -> None:
        """Answer with this instead, from one reply on: what was answered did not come to be."""
        count = len(self.out) - since
        self.out[since:] = [reply] * count
        self.out_bytes = sum(map(len, self.out))
        self.errors += count

    def close(self) -> None:
        """The connection is gone."""
        self.is_closing = True
        self.waiting.clear()
        self.service.watches.forget(self)
        self.service.drop(self)

    def hang_up(self) -> None:
        """Answer nothing more; close when all is sent."""
        self.is_closing = True
        self.waiting.clear()

    def settle(self) -> None:
        """See anew how commands are to be taken: after a password, a MULTI, or the end of a transaction."""
        options = self.service.options
        is_plain = self.is_trusted and self.queue is None
        self._quick = self.service.quick if is_plain else _NONE_QUICK
        self._most_out = options.max_reply_bytes if self.is_trusted else options.max_stranger_bytes

    def _look_at_stream(self) -> None:
        """Close the connection if what arrived is no protocol, or too much from somebody unknown."""
        fault = self.decoder.fault
        if self.waiting or self.work is not None or self.is_closing:
            return  # what came before is answered first
        if fault is not None:
            self._break(f"Protocol error: {fault}")
        elif not self.is_trusted and self.decoder.pending_bytes > self.service.options.max_stranger_bytes:
            self._break("Protocol error: too much before AUTH")

    def _break(self, text: str) -> None:
        logger.warning("%s: %s; closed", self.peer, text)
        self.out.append(frame.error(text))
        self.out_bytes += len(self.out[-1])
        self.service.counts.broken += 1
        self.hang_up()

    def _answer(self, args: list[bytes]) -> bytes:
        """Carry out a command of any kind, or put it where it belongs; return the reply.

        Raises:
            CommandError: it may not be, or cannot be understood.
            KvsError: the engine's word.
        """
        try:
            command = self._find(args)
        except CommandError:
            self.queue_is_broken = True
            raise
        self.last_command = command.name
        if self.queue is not None and not command.at_once:
            self.queue.append((command, args))
            return frame.QUEUED
        if command.may_block and self.defers:
            self.work = partial(self._work, command, args)
            return b""
        return self.carry_out(command, args)

    def _find(self, args: list[bytes]) -> Command:
        """Return the command that the words ask for.

        Raises:
            CommandError: there is none, it takes other words, or the password comes first.
        """
        command = self.service.commands.get(args[0]) or self.service.commands.get(args[0].lower())
        if command is None:
            self._refuse_http(args)
        if not self.is_trusted and not (command and command.before_auth):
            raise CommandError("Authentication required.", "NOAUTH")
        if command is None:
            raise unknown(args)
        command = command.meant(args)
        if not command.takes(len(args)):
            raise wrong_arity(command.name)
        if command.alone and self.queue is not None:
            raise CommandError("Command not allowed inside a transaction")
        return command

    def carry_out(self, command: Command, args: list[bytes]) -> bytes:
        """Run a command, as one step beside those of other threads."""
        keys = command.keys.of(args)
        if command.is_write or len(keys) > 1:
            with self.service.lock_for(keys):
                return command.run(self, args)
        return command.run(self, args)

    def attempt(self, command: Command, args: list[bytes]) -> bytes:
        """Run a command and return its reply, an error's too."""
        try:
            return self.carry_out(command, args)
        except Exception as error:  # noqa: BLE001  # as in `proceed`
            self.errors += 1
            return error_reply(error)

    def _work(self, command: Command, args: list[bytes]) -> bytes:
        """What `work` does. By then the changes of this turn are written, so it reads the engine itself."""
        self.space = self.service.engine
        try:
            return self.attempt(command, args)
        finally:
            self.space = self.service.space

    def _refuse_http(self, args: list[bytes]) -> None:
        """Hang up on a browser: a page that makes one talk to us could use the store else."""
        if args[0].lower().decode("latin-1") in _HTTP:
            logger.warning("%s speaks HTTP; closed", self.peer)
            self.service.counts.broken += 1
            self.hang_up()
            raise CommandError("this is no HTTP server")

    def describe(self) -> dict[str, object]:
        """Return what CLIENT LIST says of this connection."""
        return {
            "id": self.id,
            "addr": self.peer,
            "name": self.name.decode("utf-8", "backslashreplace"),
            "since": self.since,
            "heard_at_s": self.heard_at_s,
            "db": 0,
            "multi": -1 if self.queue is None else len(self.queue),
            "watch": len(self.watched),
            "qbuf": self.decoder.pending_bytes,
            "omem": self.out_bytes,
            "cmd": self.last_command,
            "resp": self.protocol,
            "lib-name": self.library[b"lib-name"].decode("utf-8", "backslashreplace"),
            "lib-ver": self.library[b"lib-ver"].decode("utf-8", "backslashreplace"),
        }


def error_reply(error: Exception) -> bytes:
    """Return an error as the client gets it. One that nobody foresaw is logged, and told without its text."""
    match error:
        case CommandError():
            return frame.error(str(error), error.code)
        case WritesRefusedError():
            return frame.error(str(error), "MISCONF")
        case KvsError():
            return frame.error(str(error))
        case _:
            logger.error("a command failed", exc_info=error)
            return frame.error(f"internal error: {type(error).__name__}")
