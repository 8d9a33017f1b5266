"""Vitals: how a server and its engine are, for those who ask from outside.

Threads: any may ask.
"""

from contextlib import suppress

from kvs.engine import EngineStats
from kvs.errors import KvsError, WritesRefusedError
from kvs.net.service import Service


class Vitals:
    """How a server is. While its engine compacts, and answers nobody, the last known figures stand in for the present.

    Args:
        service: what the server's connections share.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._stats: EngineStats | None = None
        self._is_writable = True

    def figures(self) -> dict[str, object]:
        """Return the figures of the server and its engine, by name."""
        service = self._service
        if not service.is_compacting:
            with suppress(KvsError):  # closed, at the very end
                self._stats = service.engine.stats()
        self._try_to_write()
        stats = self._stats
        found: dict[str, object] = {name: getattr(service.counts, name) for name in service.counts.__slots__}
        found |= {name: getattr(stats, name) for name in dir(stats) if not name.startswith("_")} if stats else {}
        return found | {
            "started_at": service.started_at,
            "writable": self._is_writable,
            "clients": len(service.clients),
            "commands": service.command_count,
            "errors": service.error_count,
            "compacting": service.is_compacting,
        }

    def trouble(self) -> str | None:
        """Return why no writes should be sent here, or None when they should."""
        if self._service.is_stopping:
            return "stopping"
        self._try_to_write()
        return None if self._is_writable else "writes are refused"

    def _try_to_write(self) -> None:
        """Write nothing, which is refused where anything would be; unless that would mean to wait for a compaction."""
        if self._service.is_compacting:
            return
        with suppress(KvsError):
            try:
                self._service.engine.write([])
            except WritesRefusedError:
                self._is_writable = False
            else:
                self._is_writable = True
