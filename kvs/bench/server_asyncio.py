"""The server that one would write with asyncio, on the same Connection: only to be measured beside ours."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

from kvs.engine import Engine
from kvs.net.commands.table import COMMANDS
from kvs.net.connection import Connection
from kvs.net.service import Service


class Conversation(asyncio.Protocol):
    """One client: what arrives is carried out in place and answered at once.

    Args:
        service: what the connections share.
    """

    def __init__(self, service: Service) -> None:
        self._connection = Connection(service, "", "", since=time.time())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # for mypy; of TCP it always is
        self._transport = transport
        self._connection.service.add(self._connection)

    def data_received(self, data: bytes) -> None:
        """Carry out what arrived, and answer."""
        connection = self._connection
        connection.receive(data)
        while connection.out:
            self._transport.write(b"".join(connection.out))
            connection.out.clear()
            connection.out_bytes = 0
            connection.proceed()  # with more than one may wait for, the rest was held back
        if connection.is_closing:
            self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        """End."""
        self._connection.close()


def serve(engine: Engine, begun: Callable[[str, Callable[[], None]], None]) -> None:
    """Serve an engine on any free port.

    Args:
        engine: the store.
        begun: is told the address, and how to stop the server, from any thread.
    """
    asyncio.run(_serve(engine, begun))


async def _serve(engine: Engine, begun: Callable[[str, Callable[[], None]], None]) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    service = Service(engine, COMMANDS)
    server = await loop.create_server(partial(Conversation, service), "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()

    def stop_soon() -> None:
        loop.call_soon_threadsafe(stop.set)

    begun(f"{host}:{port}", stop_soon)
    await stop.wait()
    server.close()
