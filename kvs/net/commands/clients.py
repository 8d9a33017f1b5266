"""CLIENT: who is connected, under which name, and away with them."""

import time
from dataclasses import dataclass, field
from typing import Final

from kvs.net.commands.talk import checked_name, is_plain
from kvs.net.commands.words import text_of, wrong_syntax
from kvs.net.connection import Connection
from kvs.net.service import Client
from kvs.resp import frame
from kvs.resp.command import CommandError, command, container
from kvs.resp.frame import OK

_KINDS: Final = {b"normal", b"master", b"replica", b"slave", b"pubsub"}
"""Redis's kinds of clients. Here all are of the first."""
_NOTHING: Final = ("sub", "psub", "qbuf-free", "argv-mem", "obl", "oll", "tot-mem")
"""What Redis tells of a client and does not exist here; libraries take it for granted that it is told."""
_ON_OFF: Final = {b"on", b"off"}


@command("client|id", 2, "connection")
def client_id(connection: Connection, _args: list[bytes]) -> bytes:
    """Return the number of this connection."""
    return frame.integer(connection.id)


@command("client|getname", 2, "connection")
def client_getname(connection: Connection, _args: list[bytes]) -> bytes:
    """Return the name that this connection gave itself, or null."""
    return frame.bulk(connection.name) if connection.name else frame.NULL[connection.protocol]


@command("client|setname", 3, "connection", usage="connection-name")
def client_setname(connection: Connection, args: list[bytes]) -> bytes:
    """Give this connection a name, for CLIENT LIST; an empty one takes it away."""
    connection.name = checked_name(args[2])
    return OK


@command("client|setinfo", 4, "connection", usage="LIB-NAME libname | LIB-VER libver")
def client_setinfo(connection: Connection, args: list[bytes]) -> bytes:
    """Tell which library the client uses, for CLIENT LIST."""
    field_name, value = args[2].lower(), args[3]
    if field_name not in connection.library:
        raise CommandError(f"Unrecognized option '{text_of(args[2])}'")
    if not is_plain(value):
        raise CommandError(f"{field_name.decode()} cannot contain spaces, newlines or special characters.")
    connection.library[field_name] = value
    return OK


@command("client|no-evict", 3, "connection", usage="ON | OFF")
def client_no_evict(_connection: Connection, args: list[bytes]) -> bytes:
    """Understood; no client is ever put out for want of memory."""
    return _on_or_off(args[2])


@command("client|no-touch", 3, "connection", usage="ON | OFF")
def client_no_touch(_connection: Connection, args: list[bytes]) -> bytes:
    """Understood; nobody notes when a key was last read."""
    return _on_or_off(args[2])


def _on_or_off(word: bytes) -> bytes:
    if word.lower() not in _ON_OFF:
        raise wrong_syntax()
    return OK


@command("client|info", 2, "connection")
def client_info(connection: Connection, _args: list[bytes]) -> bytes:
    """Return this connection's line of CLIENT LIST."""
    return frame.text(_line(connection, connection) + "\n", connection.protocol)


@command("client|list", -2, "connection", may_block=True, usage="[TYPE kind] [ID client-id [client-id ...]]")
def client_list(connection: Connection, args: list[bytes]) -> bytes:
    """Return a line for each connection."""
    wanted = _listed(connection, args[2:])
    return frame.text("".join(f"{_line(each, connection)}\n" for each in wanted), connection.protocol)


def _listed(connection: Connection, words: list[bytes]) -> list[Client]:
    """Return the connections that the options of CLIENT LIST want.

    Raises:
        CommandError: they make no sense.
    """
    clients = dict(connection.service.clients)
    option = words[0].lower() if words else b""
    if len(words) == 2 and option == b"type":
        return list(clients.values()) if _kind(words[1]) == b"normal" else []
    if len(words) >= 2 and option == b"id":
        numbers = [frame.parse_integer(word) for word in words[1:]]
        if None in numbers:
            raise CommandError("Invalid client ID")
        return [clients[number] for number in numbers if number in clients]
    if words:
        raise wrong_syntax()
    return list(clients.values())


def _line(client: Client, asking: Connection) -> str:
    """Return what there is to say of a connection, as NAME=VALUE with a space between; nothing secret."""
    facts = client.describe()
    age_s = int(time.time() - float(str(facts.pop("since"))))
    idle_s = max(int(time.monotonic() - float(str(facts.pop("heard_at_s")))), 0)
    facts["laddr"] = asking.service.address
    facts["age"] = age_s
    facts["idle"] = idle_s
    facts |= dict.fromkeys(_NOTHING, 0)
    facts["flags"] = "N"
    facts["user"] = "default"
    return " ".join(f"{name}={value}" for name, value in facts.items())


def _kind(word: bytes) -> bytes:
    kind = word.lower()
    if kind not in _KINDS:
        raise CommandError(f"Unknown client type '{text_of(word)}'")
    return kind


@dataclass(slots=True)
class _Doomed:
    """Whom a CLIENT KILL wants: who is all of what was named."""

    facts: dict[str, object] = field(default_factory=dict)
    skips_me: bool = True

    def is_it(self, client: Client, me: Connection) -> bool:
        """Tell whether this is one of them."""
        if client is me and self.skips_me:
            return False
        known = client.describe() | {"laddr": me.service.address, "user": "default", "type": "normal"}
        return all(known[name] == value for name, value in self.facts.items())


@command(
    "client|kill",
    -3,
    "connection",
    usage="addr | [ID client-id] [TYPE kind] [USER name] [ADDR addr] [LADDR addr] [SKIPME yes|no]",
)
def client_kill(connection: Connection, args: list[bytes]) -> bytes:
    """Close connections, each when what it was answered is sent; return how many."""
    is_by_address = len(args) == 3
    doomed = _Doomed({"addr": text_of(args[2])}, skips_me=False) if is_by_address else _doomed(args[2:])
    found = [each for each in list(connection.service.clients.values()) if doomed.is_it(each, connection)]
    for each in found:
        if each is connection:
            connection.hang_up()
        else:
            each.close_soon()
    if not is_by_address:
        return frame.integer(len(found))
    if not found:
        raise CommandError("No such client")
    return OK


def _doomed(words: list[bytes]) -> _Doomed:
    """Read the filters of CLIENT KILL.

    Raises:
        CommandError: they make no sense.
    """
    if len(words) % 2:
        raise wrong_syntax()
    doomed = _Doomed()
    for name, value in zip(words[::2], words[1::2], strict=True):
        match name.lower():
            case b"id":
                number = frame.parse_integer(value)
                if number is None or number <= 0:
                    raise CommandError("client-id should be greater than 0")
                doomed.facts["id"] = number
            case b"type":
                kind = _kind(value)
                doomed.facts["type"] = kind.decode()
            case b"addr" | b"laddr":
                doomed.facts[name.lower().decode()] = text_of(value)
            case b"user" if value == b"default":
                doomed.facts["user"] = "default"
            case b"user":
                raise CommandError(f"No such user '{text_of(value)}'")
            case b"skipme" if value.lower() in {b"yes", b"no"}:
                doomed.skips_me = value.lower() == b"yes"
            case _:
                raise wrong_syntax()
    return doomed


client = container(
    "client",
    "connection",
    client_id,
    client_getname,
    client_setname,
    client_setinfo,
    client_list,
    client_info,
    client_kill,
    client_no_evict,
    client_no_touch,
)
