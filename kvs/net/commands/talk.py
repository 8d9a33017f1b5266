"""Commands about the conversation itself: PING, ECHO, QUIT, HELLO, AUTH, SELECT."""

from kvs.net.connection import Connection
from kvs.resp import frame
from kvs.resp.command import CommandError, command
from kvs.resp.frame import OK, PONG


@command("ping", -1, "connection")
def ping(_connection: Connection, args: list[bytes]) -> bytes:
    """Answer PONG, or the word given."""
    if len(args) > 2:
        raise CommandError("wrong number of arguments for 'ping' command")
    return frame.bulk(args[1]) if len(args) == 2 else PONG


@command("echo", 2, "connection")
def echo(_connection: Connection, args: list[bytes]) -> bytes:
    """Return the word given."""
    return frame.bulk(args[1])


@command("quit", -1, "connection", before_auth=True, at_once=True)
def quit_(connection: Connection, _args: list[bytes]) -> bytes:
    """Close the connection."""
    connection.hang_up()
    return OK
