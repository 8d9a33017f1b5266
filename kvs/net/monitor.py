"""Monitor: a little HTTP server beside the store's own, for those who watch over it.

    GET /metrics    the figures, as Prometheus reads them
    GET /healthz    200 while the server serves and takes writes, else 503 and the reason

It asks nobody for a password, so it says nothing of keys and values.

Threads: one that accepts, and one for each request, of which there are few. All are daemons.
"""

import logging
import socket
import sys
import threading
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from types import TracebackType
from typing import Any, Final, Self

from kvs.errors import KvsError
from kvs.net.address import Address
from kvs.net.metrics import CONTENT_TYPE

logger = logging.getLogger(__name__)

REQUEST_TIMEOUT_S: Final = 5.0
POLL_S: Final = 0.1
"""How often it looks whether it is to end: the parent has no other way."""
MAX_REQUESTS: Final = 16
"""Requests at the same time; one more is turned away. A watcher asks now and then."""


class Monitor:
    """An HTTP server in threads of its own, from when it is made until `close`.

    Args:
        address: where it listens; port 0 takes any that is free.
        metrics: returns the figures' text.
        trouble: returns what is wrong, or None when all is well.

    Raises:
        KvsError: it cannot listen there.
    """

    def __init__(self, address: Address, metrics: Callable[[], str], trouble: Callable[[], str | None]) -> None:
        try:
            self._http = _Http(address, metrics, trouble)
        except OSError as error:
            raise KvsError(f"cannot listen on {address}: {error.strerror or error}") from error
        host, port = self._http.server_address[:2]
        self.address = str(Address(str(host), port))
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(POLL_S,), name="kvs-monitor", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening; requests under way are not waited for."""
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Http(ThreadingHTTPServer):
    """The standard library's server, with a bound on its threads."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, address: Address, metrics: Callable[[], str], trouble: Callable[[], str | None]) -> None:
        self.metrics = metrics
        self.trouble = trouble
        self._free = threading.BoundedSemaphore(MAX_REQUESTS)
        self.address_family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        super().__init__((address.host, address.port), _Handler)

    def server_bind(self) -> None:
        """Bind, without asking a name server what we are called, as the parent does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def process_request(self, request: Any, client_address: Any) -> None:
        """Give the request a thread, or turn it away where there are too many."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer, in a thread."""
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Note that a request could not be answered: mostly its client went away."""
        del request
        logger.debug("a request of %s was not answered: %s", client_address, sys.exception())


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: _Http
    server_version = "kvs"
    sys_version = ""
    timeout = REQUEST_TIMEOUT_S

    def do_GET(self) -> None:
        """Answer."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(HTTPStatus.OK, self.server.metrics(), CONTENT_TYPE)
        elif path == "/healthz":
            trouble = self.server.trouble()
            status = HTTPStatus.OK if trouble is None else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, f"{trouble or 'ok'}\n")
        else:
            self._answer(HTTPStatus.NOT_FOUND, "there are /metrics and /healthz\n")

    do_HEAD = do_GET  # noqa: N815  # as above

    def _answer(self, status: HTTPStatus, text: str, kind: str = "text/plain; charset=utf-8") -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the parent's name for it
        """Log what the parent would print."""
        logger.debug(format, *args)
