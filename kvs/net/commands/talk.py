"""Commands about the conversation itself: PING, ECHO, QUIT, HELLO, AUTH, SELECT, RESET."""

import time
from dataclasses import dataclass
from typing import Final

from kvs.net.commands.transactions import leave
from kvs.net.commands.words import check_database, text_of, wrong_syntax
from kvs.net.connection import Connection
from kvs.resp import frame
from kvs.resp.command import CommandError, command, wrong_arity
from kvs.resp.frame import OK, PONG

REDIS_VERSION: Final = "7.0.15"
"""The Redis whose commands and replies ours are compared with; clients look at it to know what they may ask for."""
DEFAULT_USER: Final = b"default"
_WRONG: Final = "invalid username-password pair or user is disabled."
_NONE_SET: Final = (
    "AUTH <password> called without any password configured for the default user. "
    "Are you sure your configuration is correct?"
)
_HELLO_FIRST: Final = (
    "HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> "
    "option can be used to authenticate the client and select the RESP protocol version at the same time"
)


@command("ping", -1, "connection", usage="[message]")
def ping(_connection: Connection, args: list[bytes]) -> bytes:
    """Answer PONG, or the word given."""
    if len(args) > 2:
        raise wrong_arity("ping")
    return frame.bulk(args[1]) if len(args) == 2 else PONG


@command("echo", 2, "connection", usage="message")
def echo(_connection: Connection, args: list[bytes]) -> bytes:
    """Return the word given."""
    return frame.bulk(args[1])


@command("quit", -1, "connection", before_auth=True, at_once=True)
def quit_(connection: Connection, _args: list[bytes]) -> bytes:
    """Close the connection."""
    connection.hang_up()
    return OK


@command("select", 2, "connection", usage="index")
def select(_connection: Connection, args: list[bytes]) -> bytes:
    """Choose the database; there is one, and its number is 0."""
    check_database(args[1])
    return OK


@command("reset", 1, "connection", before_auth=True, at_once=True)
def reset(connection: Connection, _args: list[bytes]) -> bytes:
    """Make the connection as good as new: no transaction, no name, protocol 2, and the password is asked for again."""
    connection.is_trusted = connection.service.options.password is None
    leave(connection)
    connection.protocol = 2
    connection.name = b""
    return frame.simple("RESET")


@command("auth", -2, "connection", before_auth=True, usage="[username] password")
def auth(connection: Connection, args: list[bytes]) -> bytes:
    """Show the password; the one user there is, is called "default"."""
    if len(args) > 3:
        raise wrong_syntax()
    if len(args) == 2 and connection.service.options.password is None:
        raise CommandError(_NONE_SET)
    _log_in(connection, args[1] if len(args) == 3 else DEFAULT_USER, args[-1])
    return OK


def _log_in(connection: Connection, user: bytes, password: bytes) -> None:
    """Trust the connection if the password is right. One that guesses too fast is not listened to.

    Raises:
        CommandError: the password is wrong, or was not looked at.
    """
    service, now_s = connection.service, time.monotonic()
    if not service.guesses.may_try(connection.host, now_s):  # all its connections together, so each of them too
        raise CommandError("too many wrong passwords from here; try again in a second")
    is_right = service.options.password is None or service.is_password(password)
    if user != DEFAULT_USER or not is_right:
        service.guesses.was_wrong(connection.host, now_s)
        raise CommandError(_WRONG, "WRONGPASS")
    connection.is_trusted = True
    connection.settle()


@dataclass(slots=True)
class _Greeting:
    """What a HELLO says beside the protocol."""

    login: tuple[bytes, bytes] | None = None
    name: bytes | None = None


@command("hello", -1, "connection", before_auth=True, usage="[protover [AUTH username password] [SETNAME clientname]]")
def hello(connection: Connection, args: list[bytes]) -> bytes:
    """Say which protocol to speak, and who is there; the server says who it is."""
    protocol = _protocol(args[1]) if len(args) > 1 else connection.protocol
    greeting = _greeting(args[2:])
    if greeting.login is not None:
        _log_in(connection, *greeting.login)
    if not connection.is_trusted:
        raise CommandError(_HELLO_FIRST, "NOAUTH")
    if greeting.name is not None:
        connection.name = greeting.name
    connection.protocol = protocol
    about: frame.Plain = {
        "server": "redis",
        "version": REDIS_VERSION,
        "proto": protocol,
        "id": connection.id,
        "mode": "standalone",
        "role": "master",
        "modules": [],
    }
    return frame.encode(about, protocol)


def _protocol(word: bytes) -> int:
    """Return the version of the protocol that a HELLO asks for.

    Raises:
        CommandError: there is none such.
    """
    number = frame.parse_integer(word)
    if number is None:
        raise CommandError("Protocol version is not an integer or out of range")
    if number not in {2, 3}:
        raise CommandError("unsupported protocol version", "NOPROTO")
    return number


def _greeting(words: list[bytes]) -> _Greeting:
    """Read the options of HELLO.

    Raises:
        CommandError: they make no sense.
    """
    greeting, at = _Greeting(), 0
    while at < len(words):
        option, following = words[at].lower(), words[at + 1 :]
        if option == b"auth" and len(following) >= 2:
            greeting.login = following[0], following[1]
            at += 3
        elif option == b"setname" and following:
            greeting.name = checked_name(following[0])
            at += 2
        else:
            raise CommandError(f"Syntax error in HELLO option '{text_of(words[at])}'")
    return greeting


def checked_name(name: bytes) -> bytes:
    """Return a client's name, if it can stand in a line of CLIENT LIST.

    Raises:
        CommandError: it cannot.
    """
    if not is_plain(name):
        raise CommandError("Client names cannot contain spaces, newlines or special characters.")
    return name


def is_plain(word: bytes) -> bool:
    """Tell whether all characters of a word are visible ones of ASCII."""
    return all(ord("!") <= byte <= ord("~") for byte in word)
