"""Task 3.7: shutdown() ends a server from another thread: soon, in order, and for good."""

import threading
from collections.abc import Callable

import pytest
from support.hosted import Hosted
from support.pools import Call, running
from support.talk import DEADLINE_S
from support.wire import frame

import kvs

pytestmark = pytest.mark.task("3.7")

Host = Callable[..., Hosted]


class GatedEngine(kvs.MemoryEngine):
    """Waits with each set, in the middle of it, until the gate is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.begun = threading.Event()
        self.gate = threading.Event()

    def set(self, key: bytes, value: bytes) -> None:
        """Store a value, when the gate is open."""
        self.begun.set()
        self.gate.wait(DEADLINE_S)
        super().set(key, value)


def test_shutdown_ends_serve_forever(host: Host) -> None:
    """shutdown() from another thread makes serve_forever() return, whoever is connected and says nothing."""
    hosted = host(kvs.MemoryEngine())
    silent, slow = hosted.connect(), hosted.connect()
    assert silent.call("PING") == b"PONG"
    slow.send(frame("PING") + frame("SET", "key", "value")[:-5])
    slow.expect(b"+PONG\r\n")
    Call(hosted.server.shutdown).finish()
    assert not hosted.serving.is_waiting(), "shutdown() returns when serve_forever() has"
    hosted.serving.finish()
    silent.expect_end()
    slow.expect_end()
    assert hosted.engine.get(b"key") is None


def test_nobody_gets_in_after_shutdown(host: Host) -> None:
    """After shutdown() a client that comes is refused, and the address is free for the next server."""
    hosted = host(kvs.MemoryEngine())
    hosted.connect().call("PING")
    hosted.stop()
    assert hosted.connect.is_refused()
    with kvs.KvsServer(hosted.engine, hosted.pool, hosted.address) as other:
        assert other.address == hosted.address


def test_shutdown_again(host: Host) -> None:
    """A second shutdown() does nothing, and returns."""
    hosted = host(kvs.MemoryEngine())
    hosted.connect().call("PING")
    hosted.stop()
    Call(hosted.server.shutdown).finish()


def test_two_shutdowns_at_once(host: Host) -> None:
    """Two threads may call shutdown() at once; both return when the server has ended."""
    hosted = host(kvs.MemoryEngine())
    hosted.connect().call("PING")
    calls = [Call(hosted.server.shutdown) for _ in range(2)]
    for call in calls:
        call.finish()
    hosted.serving.finish()


def test_shutdown_finishes_what_is_under_way(host: Host) -> None:
    """A command that is being carried out when shutdown() comes is finished, and its client gets the reply."""
    engine = GatedEngine()
    hosted = host(engine)
    client = hosted.connect()
    client.command("SET", "key", "value")
    assert engine.begun.wait(DEADLINE_S)
    shutdown = Call(hosted.server.shutdown)
    assert shutdown.is_waiting(), "shutdown() returned while a command was under way"
    engine.gate.set()
    client.expect(b"+OK\r\n")
    client.expect_end()
    shutdown.finish()
    assert engine.get(b"key") == b"value"


def test_shutdown_carries_out_what_has_arrived(host: Host) -> None:
    """Commands that had arrived when shutdown() came are all answered, those too that were waiting for their turn."""
    engine = GatedEngine()
    hosted = host(engine)
    client = hosted.connect()
    client.send(b"".join(frame("SET", f"key{number}", number) for number in range(50)))
    assert engine.begun.wait(DEADLINE_S)
    shutdown = Call(hosted.server.shutdown)
    assert shutdown.is_waiting()
    engine.gate.set()
    client.expect(b"+OK\r\n" * 50)
    client.expect_end()
    shutdown.finish()
    assert len(engine) == 50


def test_engine_and_pool_are_their_makers(host: Host) -> None:
    """The server closes neither its engine nor its pool: who has made them closes them."""
    with kvs.MemoryEngine() as engine, kvs.SharedQueueThreadPool(2) as pool:
        hosted = host(engine, pool)
        assert hosted.connect().call("SET", "key", "value") == b"OK"
        hosted.stop()
        assert engine.get(b"key") == b"value"
        done = threading.Event()
        pool.spawn(done.set)
        assert done.wait(DEADLINE_S)
        again = host(engine, pool)
        assert again.connect().call("GET", "key") == b"value"
        again.stop()


@pytest.mark.parametrize("pool_name", ["NaiveThreadPool", "SharedQueueThreadPool", "ExecutorThreadPool"])
def test_shutdown_gives_the_threads_back(host: Host, pool_name: str) -> None:
    """A server's shutdown() gives the pool its threads back, whoever is connected: the pool shuts down at once."""
    with running(pool_name, 2) as pool:
        hosted = host(kvs.MemoryEngine(), pool)
        idle = [hosted.connect() for _ in range(2)]
        assert [client.call("PING") for client in idle] == [b"PONG"] * 2
        hosted.stop()
        for client in idle:
            client.expect_end()


def test_shutdown_leaves_no_thread(host: Host) -> None:
    """After shutdown() of server and pool no thread of either is left, of four clients that were served."""
    before = set(threading.enumerate())
    pool = kvs.SharedQueueThreadPool(4)
    hosted = host(kvs.MemoryEngine(), pool)
    clients = [hosted.connect() for _ in range(4)]
    assert [client.call("PING") for client in clients] == [b"PONG"] * 4
    hosted.stop()
    Call(pool.shutdown).finish()
    hosted.wait_until(lambda: set(threading.enumerate()) <= before, "a thread of the server or the pool is left")
