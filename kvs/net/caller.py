"""Caller: commands to a server, replies back; and when a command may be sent a second time.

A command that fails on its way leaves open whether it was carried out. To repeat it is right only where that makes no
difference. So:

    nothing of it was sent      it is repeated on another connection, whatever it is
    it only reads               it is repeated once, on a new connection
    it writes, or is unknown    DisconnectedError, with is_in_doubt
    no answer in time           DisconnectedError: who is slow is not to be asked twice

Source: the categories are those of Redis's COMMAND INFO, for the commands that kvs has.
"""

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

from kvs.errors import DisconnectedError, RemoteError
from kvs.net.address import Address
from kvs.net.dial import Dialer
from kvs.net.wires import Wires
from kvs.resp.frame import encode_command
from kvs.resp.value import Reply

Word: TypeAlias = bytes | str | int
"""A word of a command; text becomes UTF-8, and a number its digits."""

READS: Final = frozenset(
    b"GET EXISTS MGET STRLEN GETRANGE TYPE KEYS SCAN KVS.SCAN DBSIZE RANDOMKEY "
    b"PING ECHO TIME INFO LASTSAVE COMMAND MEMORY".split()
)
"""What changes nothing, so that asking twice is as good as asking once."""

PATIENT: Final = frozenset(b"SAVE KVS.COMPACT FLUSHALL FLUSHDB".split())
"""What takes the time that it takes. A host that dies meanwhile is noticed all the same, by TCP, in a few minutes."""

BINDING: Final = frozenset(
    b"MULTI EXEC DISCARD WATCH UNWATCH SELECT HELLO AUTH RESET QUIT CLIENT MONITOR SUBSCRIBE PSUBSCRIBE".split()
)
"""What changes the connection itself. It is not given to the next caller afterwards, who would not expect it."""


class Caller:
    """Sends commands to one server.

    Args:
        address: the server's.
        timeout_s: how long the server may be silent, in mid-command.
        connect_timeout_s: how long a connection may take to stand.
        password: shown first on each connection; None for none.
        ca_file: certificates to believe, for an address that begins with "tls:".
        most: connections at once.

    Threads: any.
    """

    def __init__(
        self,
        address: Address,
        *,
        timeout_s: float,
        connect_timeout_s: float,
        password: str | None,
        ca_file: str | None,
        most: int,
    ) -> None:
        self._timeout_s = timeout_s
        self._has_transactions = False  # as far as we know
        self.wires = Wires(Dialer(address, connect_timeout_s, ca_file=ca_file, password=password).dial, most)

    def call(self, words: Sequence[Word]) -> Reply:
        """Send one command and return its reply; an error reply is raised.

        Raises:
            RemoteError: the server answered with an error.
            TypeError, ValueError, DisconnectedError, ProtocolError, StoreClosedError: as call_many.
        """
        if not words:
            raise ValueError("a command has at least its name")
        args = [word if type(word) is bytes else _encode(word) for word in words]
        name = args[0].upper()
        timeout_s = None if name in PATIENT else self._timeout_s
        (reply,) = self._exchange(encode_command(args), 1, timeout_s, is_read=name in READS, is_binding=name in BINDING)
        if isinstance(reply, RemoteError):
            raise reply
        return reply

    def call_many(self, commands: Iterable[Sequence[Word]]) -> list[Reply]:
        """Send commands in one go and return their replies in order; error replies are values among them.

        Raises:
            TypeError, ValueError: what was given is no command; nothing was sent.
            DisconnectedError: no answer; nothing is known of what was not answered.
            ProtocolError: an answer that is none.
            StoreClosedError: after close().
        """
        asked = [[_encode(word) for word in words] for words in commands]
        if not all(asked):
            raise ValueError("a command has at least its name")
        self.wires.check_open()
        if not asked:
            return []
        names = {words[0].upper() for words in asked}
        request = b"".join(map(encode_command, asked))
        timeout_s = None if names & PATIENT else self._timeout_s
        return self._exchange(request, len(asked), timeout_s, is_read=names <= READS, is_binding=bool(names & BINDING))

    def transact(self, commands: Sequence[Sequence[bytes]]) -> Reply:
        """Send commands between MULTI and EXEC in one go, and return what EXEC answers; an error is raised.

        Raises:
            RemoteError: the server refused one of them, and so carried out none.
            DisconnectedError, ProtocolError, StoreClosedError: as call_many.
        """
        if not self._has_transactions:  # else a server that refuses MULTI would carry out what follows, one by one
            _raise_first(self._exchange_balanced([[b"MULTI"], [b"DISCARD"]]))
            self._has_transactions = True
        return _raise_first(self._exchange_balanced([[b"MULTI"], *commands, [b"EXEC"]]))[-1]

    def _exchange_balanced(self, commands: Sequence[Sequence[bytes]]) -> list[Reply]:
        """Send what leaves the connection as it was, although parts of it would not."""
        request = b"".join(map(encode_command, commands))
        return self._exchange(request, len(commands), self._timeout_s, is_read=False, is_binding=False)

    def _exchange(
        self, request: bytes, count: int, timeout_s: float | None, *, is_read: bool, is_binding: bool
    ) -> list[Reply]:
        """Send a request on some connection, and a second time where that is right."""
        is_second = False
        while True:
            wire = self.wires.take(is_new=is_second)
            try:
                replies = wire.exchange(request, count, timeout_s=timeout_s, is_write=not is_read)
                wire.is_sound = wire.is_sound and not is_binding
            except DisconnectedError as error:
                if error.cause == "silent" or is_second or (wire.has_begun and not is_read):
                    raise
                is_second = True
            else:
                return replies
            finally:
                self.wires.give_back(wire)


def _raise_first(replies: list[Reply]) -> list[Reply]:
    """Return the replies, unless one of them is an error."""
    for reply in replies:
        if isinstance(reply, RemoteError):
            raise reply
    return replies


def _encode(word: Word) -> bytes:
    """Return a word's bytes."""
    if isinstance(word, bytes):
        return word
    if isinstance(word, str):
        return word.encode()
    if isinstance(word, int):
        return b"%d" % word
    raise TypeError(f"a word of a command is bytes, str or int, not {type(word).__name__}")
