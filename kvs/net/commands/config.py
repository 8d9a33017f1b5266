"""CONFIG: how the server is set, by the names that Redis has for it; only what clients and tools ask for.

Nothing can be set here. The server's options are those it was started with: who may connect may not change the limits.
"""

from kvs.engine import MAX_VALUE_BYTES
from kvs.memory import MemoryEngine
from kvs.net.address import Address, parse_address
from kvs.net.commands.words import text_of, wrong_syntax
from kvs.net.connection import Connection
from kvs.net.glob import Glob
from kvs.net.service import Service
from kvs.resp import frame
from kvs.resp.command import CommandError, command, container
from kvs.resp.decoder import MAX_COMMAND_BYTES
from kvs.resp.frame import OK


def listening_at(service: Service) -> Address:
    """Return where the server listens; an empty address for connections that no server has."""
    return parse_address(service.address) if service.address else Address()


def settings(service: Service) -> dict[str, str]:
    """Return the settings by name. The password is not among them."""
    options, address = service.options, listening_at(service)
    return {
        "appendonly": "no" if service.engine.name == MemoryEngine.name else "yes",
        "bind": address.host,
        "client-query-buffer-limit": str(MAX_COMMAND_BYTES),
        "cluster-enabled": "no",
        "databases": "1",
        "maxclients": str(options.max_clients),
        "maxmemory": "0",
        "maxmemory-policy": "noeviction",
        "notify-keyspace-events": "",
        "port": str(address.port),
        "proto-max-bulk-len": str(MAX_VALUE_BYTES),
        "save": "",
        "timeout": str(int(options.idle_timeout_s)),
        "unixsocket": address.path,
    }


@command("config|get", -3, "server", usage="parameter [parameter ...]")
def config_get(connection: Connection, args: list[bytes]) -> bytes:
    """Return the settings whose names match any of the patterns, with their values; a plain name as it was asked."""
    known = settings(connection.service)
    found: dict[str, frame.Plain] = {}
    for word in args[2:]:
        pattern, asked = Glob.parse(word.lower()), text_of(word)
        if pattern.literal is not None and asked.lower() in known:
            found[asked] = known[asked.lower()]
        found |= {
            name: value for name, value in known.items() if not pattern.literal and pattern.matches(name.encode())
        }
    return frame.encode(found, connection.protocol)


@command("config|set", -4, "server", usage="parameter value [parameter value ...]")
def config_set(connection: Connection, args: list[bytes]) -> bytes:
    """Understood where it changes nothing, as the save that some tools turn off; else refused."""
    if len(args) % 2:
        raise wrong_syntax()
    known = settings(connection.service)
    for word, value in zip(args[2::2], args[3::2], strict=True):
        name = text_of(word)
        if name.lower() not in known:
            raise CommandError(f"Unknown option or number of arguments for CONFIG SET - '{name}'")
        if value != known[name.lower()].encode():
            raise CommandError(
                f"CONFIG SET failed (possibly related to argument '{name}') - can't set immutable config"
            )
    return OK


config = container("config", "server", config_get, config_set)
