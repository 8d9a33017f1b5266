"""The child: a process that serves one contender, until its stdin ends.

    python -m kvs.bench.server_child '{"design": "loop", ...}'

It prints its address once it listens. That it ends with its stdin means that it never outlives who started it: the
system closes the pipe of a process that is gone, however that went. A redis-server is run by such a child, too, for it
watches nobody.
"""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import kvs
from kvs import catalog
from kvs.bench import server_asyncio
from kvs.engine import Engine
from kvs.net.channel import Channel
from kvs.net.loop import Loop
from kvs.net.server import DESIGNS, DesignName, KvsServer

AT_ONCE: Final = "loop-at-once"
ASYNCIO: Final = "asyncio"
REDIS: Final = "redis"
READY: Final = b"Ready to accept connections"
_TRIES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a child is to serve.

    Args:
        design: one of the server's, or of the three above.
        pool, threads: its thread pool.
        engine: the store's engine.
        sync: when writes are made durable; None leaves it to the engine.
        directory: where the store is.
    """

    design: str
    pool: str
    threads: int
    engine: str
    sync: str | None
    directory: str


class AtOnce(Loop):
    """The loop, but for one thing: each client is answered when it was heard, and not all at the end of the turn."""

    def _serve(self, channel: Channel, event: int) -> None:
        super()._serve(channel, event)
        self._end_turn()


def main(task: Task) -> None:
    """Serve until stdin ends."""
    if task.design == REDIS:
        _serve_redis(task)
        return
    options = {} if task.sync is None else {"sync": task.sync}
    with kvs.open(task.directory, task.engine, **options) as engine:
        if task.design == ASYNCIO:
            server_asyncio.serve(engine, _begun)
        else:
            _serve(task, engine)


def _serve(task: Task, engine: Engine) -> None:
    """Serve by one of our own designs."""
    design: DesignName = "loop" if task.design == AT_ONCE else task.design  # type: ignore[assignment]  # the server asks
    if task.design == AT_ONCE:
        DESIGNS["loop"] = AtOnce
    gathers = task.sync == "always"
    with (
        catalog.pool(task.pool, task.threads) as pool,
        KvsServer(engine, pool, "127.0.0.1:0", design=design, gathers=gathers) as server,
    ):
        _begun(server.address, lambda: server.shutdown(wait=False))
        server.serve_forever()


def _begun(address: str, stop: Callable[[], None]) -> None:
    """Tell where we listen, and stop when stdin ends."""

    def wait() -> None:
        sys.stdin.buffer.read()
        stop()

    threading.Thread(target=wait, daemon=True).start()
    print(address, flush=True)  # noqa: T201  # whoever started us waits for it


def _serve_redis(task: Task) -> None:
    """Run a redis-server. It takes no port 0, so a port that was free a moment ago is tried."""
    persistence = (
        ["--appendonly", "yes", "--appendfsync", "always"] if task.sync == "always" else ["--appendonly", "no"]
    )
    for _ in range(_TRIES):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        words = ["--port", str(port), "--bind", "127.0.0.1", "--dir", task.directory, "--save", "", *persistence]
        with subprocess.Popen(["redis-server", *words], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as process:  # noqa: S603, S607  # whichever is installed
            assert process.stdout is not None  # noqa: S101  # for mypy
            try:
                if any(READY in line for line in process.stdout):
                    print(f"127.0.0.1:{port}", flush=True)  # noqa: T201  # as above
                    sys.stdin.buffer.read()
                    return
            finally:
                process.terminate()  # also when whoever started us is gone before it could be told
    raise SystemExit("redis-server does not start")


if __name__ == "__main__":
    main(Task(**json.loads(sys.argv[1])))
