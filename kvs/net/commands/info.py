"""INFO: how the server and its engine are, in lines of a name, a colon and a value.

The names are Redis's where clients and tools look for them; in the section Keyspace those of the engine's own figures
are added to them.
"""

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import fields, is_dataclass
from typing import Any, Final

import kvs
from kvs.memory import MemoryEngine
from kvs.net.commands.config import listening_at
from kvs.net.commands.talk import REDIS_VERSION
from kvs.net.commands.words import text_of
from kvs.net.connection import Connection
from kvs.net.service import Service
from kvs.resp import frame
from kvs.resp.command import command

Facts = dict[str, object]


def _server(service: Service) -> Facts:
    uptime_s = int(time.time() - service.started_at)
    system = os.uname()
    return {
        "redis_version": REDIS_VERSION,
        "kvs_version": kvs.__version__,
        "redis_mode": "standalone",
        "os": f"{system.sysname} {system.release} {system.machine}",
        "arch_bits": 64 if sys.maxsize > 1 << 32 else 32,
        "python_version": sys.version.partition(" ")[0],
        "design": service.design,
        "process_id": os.getpid(),
        "tcp_port": listening_at(service).port,
        "server_time_usec": time.time_ns() // 1000,
        "uptime_in_seconds": uptime_s,
        "uptime_in_days": uptime_s // 86_400,
    }


def _clients(service: Service) -> Facts:
    return {
        "connected_clients": len(service.clients),
        "maxclients": service.options.max_clients,
        "blocked_clients": 0,
    }


def _memory(_service: Service) -> Facts:
    used = _resident_bytes()
    return {
        "used_memory": used,
        "used_memory_human": f"{used / (1 << 20):.2f}M",
        "used_memory_rss": used,
        "used_memory_peak": max(used, _peak_bytes()),
        "maxmemory": 0,
        "maxmemory_policy": "noeviction",
    }


def _peak_bytes() -> int:
    """Return the most memory that the process ever had; Linux counts it in KiB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _resident_bytes() -> int:
    """Return how much memory the process has now, or where that is not told, the most it ever had."""
    with suppress(OSError), open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * resource.getpagesize()
    return _peak_bytes()


def _persistence(service: Service) -> Facts:
    return {
        "loading": 0,
        "rdb_bgsave_in_progress": 0,
        "rdb_last_bgsave_status": "ok",
        "rdb_last_save_time": last_save(service),
        "aof_enabled": int(service.engine.name != MemoryEngine.name),
        "aof_rewrite_in_progress": int(service.is_compacting),
    }


def last_save(service: Service) -> int:
    """Return when the store was last known to be durable, in seconds since 1970; at least since the start it was."""
    return int(getattr(service.engine.stats(), "last_sync", None) or service.started_at)


def _stats(service: Service) -> Facts:
    counts = service.counts
    return {
        "total_connections_received": counts.accepted,
        "total_commands_processed": service.command_count,
        "total_error_replies": service.error_count,
        "total_net_input_bytes": counts.received_bytes,
        "total_net_output_bytes": counts.sent_bytes,
        "rejected_connections": counts.rejected,
        "protocol_errors": counts.broken,
        "timed_out_connections": counts.overdue,
    }


def _replication(_service: Service) -> Facts:
    return {"role": "master", "connected_slaves": 0}


def _cluster(_service: Service) -> Facts:
    return {"cluster_enabled": 0}


def _keyspace(service: Service) -> Facts:
    stats = service.engine.stats()
    facts: Facts = dict(_flat(stats))
    if stats.keys:
        facts["db0"] = f"keys={stats.keys},expires=0,avg_ttl=0"
    return facts


def _flat(record: Any, before: str = "") -> Iterator[tuple[str, object]]:
    """Yield the names and values of a dataclass, those of the dataclasses in it too; what is not known is left out."""
    for each in fields(record):
        value = getattr(record, each.name)
        if is_dataclass(value):
            yield from _flat(value, f"{each.name}_")
        elif value is not None:
            yield before + each.name, int(value) if isinstance(value, bool) else value


SECTIONS: Final[dict[str, Callable[[Service], Facts]]] = {
    "server": _server,
    "clients": _clients,
    "memory": _memory,
    "persistence": _persistence,
    "stats": _stats,
    "replication": _replication,
    "cluster": _cluster,
    "keyspace": _keyspace,
}
_ALL: Final = {"all", "default", "everything"}


@command("info", -1, "server", may_block=True, usage="[section [section ...]]")
def info(connection: Connection, args: list[bytes]) -> bytes:
    """Tell how the server is: all sections, or those that are named."""
    named = {text_of(word).lower() for word in args[1:]}
    wanted = [name for name in SECTIONS if not named or named & _ALL or name in named]
    sections = [_section(name, SECTIONS[name](connection.service)) for name in wanted]
    return frame.text("\r\n".join(sections), connection.protocol)


def _section(name: str, facts: Facts) -> str:
    return "".join(f"{line}\r\n" for line in (f"# {name.title()}", *(f"{key}:{value}" for key, value in facts.items())))
