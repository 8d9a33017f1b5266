"""Commands on all keys: how many, which, in which order, and away with them.

Those that walk over the keys run in the pool; each walk sees every key that is there from its beginning to its end.
"""

import random
from dataclasses import dataclass
from typing import Final

from kvs.net.commands.changes import change_all
from kvs.net.commands.longreply import LongReply
from kvs.net.commands.pages import Range, page
from kvs.net.commands.words import number_of, wrong_syntax
from kvs.net.connection import Connection
from kvs.net.glob import Glob
from kvs.resp import frame
from kvs.resp.command import CommandError, command
from kvs.resp.frame import OK

MAX_COUNT: Final = 10_000
"""The most keys that one SCAN looks at, however many were asked for: COUNT is a wish."""
_DEFAULT_COUNT: Final = 10
_EVERY_KEY: Final = b"*"


@command("dbsize", 1, "server")
def dbsize(connection: Connection, _args: list[bytes]) -> bytes:
    """Return how many keys there are."""
    return frame.integer(len(connection.space))


@command("keys", 2, "generic", may_block=True, usage="pattern")
def keys(connection: Connection, args: list[bytes]) -> bytes:
    """Return all keys that a pattern matches.

    Cost: looks at every key, or where the pattern begins with plain text at every key that begins so, and its value.
    """
    space, pattern, reply = connection.space, Glob.parse(args[1]), LongReply()
    if pattern.literal is not None:
        candidates = iter([pattern.literal] if pattern.literal in space else [])
    elif pattern.prefix:
        candidates = (key for key, _ in space.scan(prefix=pattern.prefix))
    else:
        candidates = iter(space)
    for key in candidates:
        if args[1] == _EVERY_KEY or pattern.matches(key):
            reply.add(frame.bulk(key))
    return reply.whole()


@dataclass(slots=True)
class _Wish:
    """The options of a SCAN."""

    pattern: Glob | None = None
    count: int = _DEFAULT_COUNT
    is_for_strings: bool = True


@command("scan", -2, "generic", may_block=True, usage="cursor [MATCH pattern] [COUNT count] [TYPE type]")
def scan(connection: Connection, args: list[bytes]) -> bytes:
    """Return some keys, and the cursor with which to ask for more; 0 at the end.

    In key order. What is there all the time is met once; what comes or goes meanwhile may be met or not.
    """
    cursor = frame.parse_integer(args[1])
    if cursor is None or cursor < 0:
        raise CommandError("invalid cursor")
    wish = _scan_wish(args)
    cursors, wanted = connection.service.cursors, Range(prefix=(wish.pattern and wish.pattern.prefix) or None)
    if cursor:
        behind = cursors.key(cursor)
        if behind is None:
            raise CommandError("invalid cursor")
        wanted = wanted.after(behind)
    seen = [key for key, _ in page(connection.space, wanted, wish.count)]
    following = cursors.make(seen[-1]) if len(seen) == wish.count else 0
    found = [key for key in seen if wish.is_for_strings and (wish.pattern is None or wish.pattern.matches(key))]
    return frame.array([frame.bulk(b"%d" % following), frame.array([frame.bulk(key) for key in found])])


def _scan_wish(args: list[bytes]) -> _Wish:
    """Read the options of SCAN.

    Raises:
        CommandError: they make no sense.
    """
    wish = _Wish()
    if len(args) % 2:
        raise wrong_syntax()
    for name, value in zip(args[2::2], args[3::2], strict=True):
        match name.lower():
            case b"match":
                wish.pattern = None if value == _EVERY_KEY else Glob.parse(value)
            case b"count":
                wish.count = min(number_of(value), MAX_COUNT)
                if wish.count < 1:
                    raise wrong_syntax()
            case b"type":
                wish.is_for_strings = value.lower() == b"string"
            case _:
                raise wrong_syntax()
    return wish


@command("randomkey", 1, "generic", may_block=True)
def randomkey(connection: Connection, _args: list[bytes]) -> bytes:
    """Return any key, each as likely as the others; null if there is none.

    Cost: makes a list of all keys.
    """
    every = list(connection.space)
    return frame.bulk(random.choice(every)) if every else frame.NULL[connection.protocol]  # noqa: S311  # no secret


@command("flushdb", -1, "server", is_write=True, usage="[ASYNC | SYNC]")
def flushdb(connection: Connection, args: list[bytes]) -> bytes:
    """Remove all keys, as one step."""
    return _flush(connection, args)


@command("flushall", -1, "server", is_write=True, usage="[ASYNC | SYNC]")
def flushall(connection: Connection, args: list[bytes]) -> bytes:
    """Remove all keys, as one step."""
    return _flush(connection, args)


def _flush(connection: Connection, args: list[bytes]) -> bytes:
    """Remove all keys. ASYNC is understood, and there is nothing to be put off.

    It runs where writes run, in the loop's own thread: what else would keep an INCR from being cut in two?
    """
    if len(args) > 2 or (len(args) == 2 and args[1].lower() not in {b"async", b"sync"}):
        raise wrong_syntax()
    with connection.service.lock_for_all():
        change_all(connection, [(key, None) for key in connection.space])
    return OK


@command("kvs.scan", -3, "generic", may_block=True, usage="start stop [LIMIT count] [REVERSE] [KEYS]")
def kvs_scan(connection: Connection, args: list[bytes]) -> bytes:
    """Return the keys from one to before another, in key order, each followed by its value.

    An empty stop means to the end. With LIMIT at most so many; fewer only if there are no more. With KEYS no values.
    """
    limit, options = _range_options(args[3:])
    wanted = Range(args[1], args[2] or None, is_reverse=b"reverse" in options)
    pairs = wanted.scan(connection.space) if limit is None else page(connection.space, wanted, limit)
    reply = LongReply()
    for key, value in pairs:
        reply.add(frame.bulk(key))
        if b"keys" not in options:
            reply.add(frame.bulk(value))
    return reply.whole()


def _range_options(words: list[bytes]) -> tuple[int | None, set[bytes]]:
    """Read the options of KVS.SCAN: the limit, and the others in lower case.

    Raises:
        CommandError: they make no sense.
    """
    rest = [word.lower() for word in words]
    limit = None
    if b"limit" in rest[:-1]:
        at = rest.index(b"limit")
        limit = number_of(rest[at + 1])
        if limit < 0:
            raise CommandError("LIMIT is 0 or more")
        del rest[at : at + 2]
    if set(rest) - {b"reverse", b"keys"}:
        raise wrong_syntax()
    return limit, set(rest)
