"""KvsServer: an engine, a thread pool and an address, put together as a server that speaks the Redis protocol."""

import sys
import threading
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal, Self

from kvs.engine import Engine
from kvs.net.address import parse_address
from kvs.net.commands.table import COMMANDS
from kvs.net.jobs import Jobs
from kvs.net.listener import Listener
from kvs.net.loop import Loop
from kvs.net.options import DEFAULTS, ServerOptions
from kvs.net.ready import Ready
from kvs.net.service import Service
from kvs.pool.base import ThreadPool

if TYPE_CHECKING:
    import ssl

DesignName = Literal["auto", "loop", "ready", "jobs"]
DESIGNS: Final[dict[str, type[Loop | Jobs]]] = {"loop": Loop, "ready": Ready, "jobs": Jobs}


def best_design() -> Literal["loop", "ready"]:
    """Return the design that suits this Python: one thread where there is a GIL, several where there is none."""
    has_gil = getattr(sys, "_is_gil_enabled", lambda: True)()
    return "loop" if has_gil else "ready"


class KvsServer:
    r"""A server of one engine. It listens from the moment it is made, and serves while `serve_forever` runs.

    Args:
        engine: the store; it stays its maker's to close.
        pool: the threads for commands that may block, or, in the designs "ready" and "jobs", for all; the maker's too.
        address: "HOST:PORT", "[::1]:PORT" or "unix:PATH"; port 0 takes any that is free.
        design: "loop", "ready" or "jobs", see those modules; "auto" takes what suits this Python.
        options: the limits for clients.
        gathers: write the changes of a turn as one batch, and answer then: for an engine on which each write waits
            for the disk. Only the design "loop" has turns; the others leave it to the engine.
        tls: the certificate and the rules, for encrypted connections.

    Attributes:
        address: where it listens really.
        service: what its connections share, with the counts.

    Raises:
        ValueError: no such design, or the address makes no sense.
        StorageError: the address is taken, or not ours.

    Threads: `shutdown`, `compact_soon` and the attributes from any; with wait=False both are fit for signal handlers.

    >>> import socket
    >>> from kvs.memory import MemoryEngine
    >>> from kvs.pool.shared_queue import SharedQueueThreadPool
    >>> with SharedQueueThreadPool(2) as pool, KvsServer(MemoryEngine(), pool, "127.0.0.1:0") as server:
    ...     thread = threading.Thread(target=server.serve_forever)
    ...     thread.start()
    ...     with socket.create_connection(("127.0.0.1", int(server.address.rpartition(":")[2]))) as client:
    ...         _ = client.send(b"PING\r\n")
    ...         answer = client.recv(100)
    ...     server.shutdown()
    ...     thread.join()
    >>> answer
    b'+PONG\r\n'
    """

    def __init__(
        self,
        engine: Engine,
        pool: ThreadPool,
        address: str = "127.0.0.1:4000",
        *,
        design: DesignName = "auto",
        options: ServerOptions = DEFAULTS,
        gathers: bool = False,
        tls: "ssl.SSLContext | None" = None,
    ) -> None:
        name = best_design() if design == "auto" else design
        if name not in DESIGNS:
            raise ValueError(f"design is one of auto, {', '.join(DESIGNS)}, not {design!r}")
        is_threaded = name != "loop"
        self.service = Service(engine, COMMANDS, options, is_threaded=is_threaded, gathers=gathers and not is_threaded)
        self._listener = Listener(parse_address(address))
        self.address = str(self._listener.address)
        self._design = DESIGNS[name](self.service, self._listener, pool, tls)
        self._has_begun = False
        self._ended = threading.Event()
        self.service.address = self.address
        self.service.design = name
        self.service.stop_soon = self._design.wakeup.stop_soon
        self.service.compact_soon = self.compact_soon

    def serve_forever(self) -> None:
        """Serve until `shutdown`. When this returns, every connection is closed and every reply sent that could be."""
        self._has_begun = True
        try:
            self._design.run()
        finally:
            self._ended.set()

    def shutdown(self, *, wait: bool = True) -> None:
        """Ask `serve_forever` to end: accept nobody, finish what is in flight, within `drain_timeout_s`.

        Args:
            wait: return only when it has ended.
        """
        self._design.wakeup.stop_soon()
        if wait and self._has_begun:
            self._ended.wait()

    def compact_soon(self) -> None:
        """Ask for a compaction on the pool; one that is asked for while another runs follows it."""
        self._design.wakeup.compact_soon()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.shutdown()
        self._design.close()
