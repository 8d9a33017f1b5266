"""Commands for whoever looks after the server: SAVE, compaction, SHUTDOWN, TIME."""

import time
from typing import Final

from kvs.net.commands.info import last_save
from kvs.net.commands.words import wrong_syntax
from kvs.net.connection import Connection
from kvs.resp import frame
from kvs.resp.command import CommandError, command
from kvs.resp.frame import OK


@command("save", 1, "server", may_block=True, alone=True)
def save(connection: Connection, _args: list[bytes]) -> bytes:
    """Return when every write that was answered is on the disk itself."""
    connection.service.engine.sync()
    return OK


@command("bgsave", -1, "server", may_block=True, usage="[SCHEDULE]")
def bgsave(connection: Connection, args: list[bytes]) -> bytes:
    """See that every write that was answered is on the disk itself; done, in fact, when this answers."""
    if len(args) > 2 or (len(args) == 2 and args[1].lower() != b"schedule"):
        raise wrong_syntax()
    connection.service.engine.sync()
    return frame.simple("Background saving started")


@command("lastsave", 1, "server", may_block=True)
def lastsave(connection: Connection, _args: list[bytes]) -> bytes:
    """Return when the store was last made durable, in seconds since 1970."""
    return frame.integer(last_save(connection.service))


@command("bgrewriteaof", 1, "server")
def bgrewriteaof(connection: Connection, _args: list[bytes]) -> bytes:
    """Begin a compaction, and do not wait for it."""
    connection.service.compact_soon()
    return frame.simple("Background append only file rewriting started")


@command("kvs.compact", 1, "server", may_block=True, alone=True)
def kvs_compact(connection: Connection, _args: list[bytes]) -> bytes:
    """Return when the bytes of values that were replaced or removed are given back."""
    with connection.service.compacting():
        connection.service.engine.compact()
    return OK


_HOW_TO_STOP: Final = {b"nosave", b"save", b"now", b"force"}


@command("shutdown", -1, "server", alone=True, usage="[NOSAVE | SAVE] [NOW] [FORCE]")
def shutdown(connection: Connection, args: list[bytes]) -> bytes:
    """Stop the server as a signal would: what was answered is kept, whatever is asked for. There is no answer."""
    words = {word.lower() for word in args[1:]}
    if words == {b"abort"} and len(args) == 2:
        raise CommandError("No shutdown in progress.")
    if words - _HOW_TO_STOP or words >= {b"save", b"nosave"}:
        raise wrong_syntax()
    connection.hang_up()
    connection.service.stop_soon()
    return b""


@command("time", 1, "server")
def time_(_connection: Connection, _args: list[bytes]) -> bytes:
    """Return the server's time: seconds since 1970, and millionths of a second."""
    seconds, rest_ns = divmod(time.time_ns(), 1_000_000_000)
    return frame.array([frame.bulk(b"%d" % seconds), frame.bulk(b"%d" % (rest_ns // 1000))])
