"""KvsClient: an engine over the wire. A store that a server has open, used as if it were here.

    set, get, remove, in     SET, GET, DEL, EXISTS: what the smallest server knows
    len, pop, clear          DBSIZE, GETDEL, FLUSHALL
    scan, iteration          KVS.SCAN, by pages
    write, update            MULTI, MSET and DEL, EXEC, in one go
    sync, compact, stats     SAVE, KVS.COMPACT, INFO

It speaks version 2 of the protocol and begins without a word, so that any server of these commands will do.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar, overload

from kvs.engine import MAX_KEY_BYTES, Engine, Op, check_batch, check_key, check_type, check_value
from kvs.errors import KeyNotFoundError, RemoteError
from kvs.net.address import parse_address
from kvs.net.batches import batch_commands
from kvs.net.caller import Caller, Word
from kvs.net.expect import expect, expect_ok, expect_pairs, expect_results
from kvs.net.pages import FIRST_PAGE, LARGEST_PAGE, TOO_LARGE, Bounds, bounds_of, next_size
from kvs.net.pipeline import Pipeline
from kvs.net.remotestats import RemoteStats, read_stats
from kvs.resp.value import Reply

DEFAULT_ADDRESS: Final = "127.0.0.1:4000"
MAX_CONNECTIONS: Final = 64

T = TypeVar("T")


class KvsClient(Engine):
    """A store behind a server.

    It connects when it is first used, and again when a connection is found broken. A read that breaks is repeated; a
    write is never sent twice: where it may have been applied, DisconnectedError says so.

    Args:
        address: "HOST:PORT", "[::1]:PORT", "unix:PATH", or "tls:HOST:PORT" for an encrypted connection.
        timeout_s: how many seconds the server may be silent in the middle of a command. `sync`, `compact` and `clear`
            wait as long as it takes.
        connect_timeout_s: how many seconds a connection may take to stand.
        password: what the server asks for, if it does.
        ca_file: a file of certificates to believe, in PEM, with "tls:"; None for those that the system believes.

    Raises:
        ValueError: the address is none, or a time-out is not above 0.

    Threads: any; those that call at once have connections of their own, up to 64. A forked child opens its own.
    """

    name = "client"

    def __init__(
        self,
        address: str = DEFAULT_ADDRESS,
        *,
        timeout_s: float = 5.0,
        connect_timeout_s: float = 5.0,
        password: str | None = None,
        ca_file: str | None = None,
    ) -> None:
        for seconds in (timeout_s, connect_timeout_s):
            if not 0 < seconds <= 1e6:
                raise ValueError(f"a time-out is above 0 and at most 1,000,000 seconds, not {seconds!r}")
        where = parse_address(address)
        self.address = str(where)
        self._caller = Caller(
            where,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            password=password,
            ca_file=ca_file,
            most=MAX_CONNECTIONS,
        )

    # Any command.

    def call(self, *words: Word) -> Reply:
        """Send one command and return its reply.

        Args:
            words: the command's name and what it takes; text is sent as UTF-8, numbers as their digits.

        Raises:
            RemoteError: the server answered with an error.
            DisconnectedError: it did not answer.
            ProtocolError: it answered what is no answer; a write may have been applied.
        """
        return self._caller.call(words)

    def call_many(self, commands: Iterable[Sequence[Word]]) -> list[Reply]:
        """Send many commands in one go, and return their replies in order.

        An error reply is a value among them, a RemoteError, for what stands before and behind it was carried out.

        Raises:
            DisconnectedError, ProtocolError: as call; of writes that were not answered nothing is known.
        """
        return self._caller.call_many(commands)

    def pipeline(self) -> Pipeline:
        """Return a pipeline, to gather commands in a `with` block and send them at its end."""
        return Pipeline(self._caller)

    # The engine: one key.

    def set(self, key: bytes, value: bytes) -> None:
        """Store `value` under `key`, replacing what was there."""
        check_key(key)
        check_value(value)
        expect_ok(self.call(b"SET", key, value))

    @overload
    def get(self, key: bytes, default: None = None) -> bytes | None: ...
    @overload
    def get(self, key: bytes, default: bytes | T) -> bytes | T: ...
    def get(self, key: bytes, default: T | None = None) -> bytes | T | None:
        """Return the value stored under `key`, or `default` when there is none."""
        check_type(key)
        value = self._value_of(b"GET", key)
        return default if value is None else value

    def remove(self, key: bytes) -> None:
        """Remove `key`; KeyNotFoundError when it is not there."""
        if not expect(self.call(b"DEL", check_key(key)), int):
            raise KeyNotFoundError(key)

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, bytes) or len(key) > MAX_KEY_BYTES:
            self._caller.wires.check_open()
            return False
        return expect(self.call(b"EXISTS", key), int) > 0

    @overload
    def pop(self, key: bytes, /) -> bytes: ...
    @overload
    def pop(self, key: bytes, /, default: bytes | T) -> bytes | T: ...
    def pop(self, key: bytes, /, *default: T, **named: T) -> bytes | T:
        """Remove `key` and return its value, in one step; or return the default.

        Raises:
            KeyNotFoundError: there is no such key, and no default.
        """
        check_type(key)
        value = self._value_of(b"GETDEL", key)
        if value is not None:
            return value
        for fallback in (*default, *named.values()):
            return fallback
        raise KeyNotFoundError(key)

    def _value_of(self, command: bytes, key: bytes) -> bytes | None:
        """Return what a command answers for a key; under a key that is too long there is nothing."""
        if len(key) > MAX_KEY_BYTES:
            self._caller.wires.check_open()
            return None
        value = self.call(command, key)
        return None if value is None else expect(value, bytes)

    # The engine: many keys.

    def __len__(self) -> int:
        return expect(self.call(b"DBSIZE"), int)

    def __iter__(self) -> Iterator[bytes]:
        """Return all keys. They are fetched before the first is given, so that the walk may change the store."""
        keys: list[bytes] = []
        bounds: Bounds | None = Bounds(b"", b"")
        while bounds is not None:
            page = self._page(bounds, LARGEST_PAGE, b"KEYS")
            keys += page
            bounds = bounds.after(page[-1]) if len(page) == LARGEST_PAGE else None  # a short page is the last
        return iter(keys)

    def scan(
        self,
        start: bytes | None = None,
        stop: bytes | None = None,
        *,
        prefix: bytes | None = None,
        limit: int | None = None,
        reverse: bool = False,
    ) -> Iterator[tuple[bytes, bytes]]:
        """Walk keys and values in key order; see Engine.scan.

        It goes by pages, each fetched when the walk comes to it: so a key that is set meanwhile, ahead of the walk, is
        seen, too.
        """
        for bound in (start, stop, prefix):
            if bound is not None:
                check_type(bound)
        if limit is not None and limit < 0:
            raise ValueError(f"a limit is 0 or more, not {limit}")
        self._caller.wires.check_open()
        return self._walk(bounds_of(start, stop, prefix, is_reverse=reverse), limit)

    def _walk(self, bounds: Bounds | None, limit: int | None) -> Iterator[tuple[bytes, bytes]]:
        size = FIRST_PAGE
        while bounds is not None and limit != 0:
            asked = size if limit is None else min(size, limit)
            try:
                flat = self._page(bounds, asked)
            except RemoteError as error:
                if asked == 1 or TOO_LARGE not in str(error):
                    raise
                size = max(1, asked // 8)
                continue
            count = expect_pairs(flat)
            yield from zip(flat[::2], flat[1::2], strict=True)
            if count < asked:
                return
            limit = None if limit is None else limit - count
            size = next_size(size, count, sum(map(len, flat)))
            bounds = bounds.after(flat[-2])

    def _page(self, bounds: Bounds, size: int, *options: bytes) -> list[bytes]:
        """Return the next keys and values in turn, or keys alone."""
        way = [b"REVERSE"] if bounds.is_reverse else []
        reply = self.call(b"KVS.SCAN", bounds.start, bounds.stop, b"LIMIT", size, *way, *options)
        return [expect(each, bytes) for each in expect(reply, list)]

    def write(self, ops: Iterable[Op]) -> None:
        """Apply several sets and removes as one."""
        batch = check_batch(ops)
        self._caller.wires.check_open()
        if not batch:
            return
        commands = list(batch_commands(batch))
        expect_results(self._caller.transact(commands), len(commands))

    def popitem(self) -> tuple[bytes, bytes]:
        """Remove the first key in key order, and return it with its value; KeyError when the store is empty."""
        while True:
            for key, _ in self.scan(limit=1):
                value = self.pop(key, None)
                if value is not None:
                    return key, value
                break  # somebody else was faster
            else:
                raise KeyError("popitem(): the store is empty")

    def clear(self) -> None:
        """Remove every key, in one step."""
        expect_ok(self.call(b"FLUSHALL"))

    # The engine: the whole.

    def sync(self) -> None:
        """Return when every write so far is on the server's disk."""
        expect_ok(self.call(b"SAVE"))

    def compact(self) -> None:
        """Have the server give back the bytes of values that were replaced or removed; returns when that is done."""
        expect_ok(self.call(b"KVS.COMPACT"))

    def stats(self) -> RemoteStats:
        """Return the figures of the engine behind the server."""
        return read_stats(expect(self.call(b"INFO", b"keyspace"), bytes))

    def close(self) -> None:
        """Close the connections; later calls raise StoreClosedError. The server goes on."""
        self._caller.wires.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.address!r}{', closed' if self._caller.wires.is_closed else ''}>"
