"""Task 3.3: a server and its clients: many of them, and none that can hurt the others."""

import os
import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from broken_frames import BROKEN
from support.hosted import Hosted
from support.talk import DEADLINE_S, Clients
from support.wire import frame

import kvs

pytestmark = pytest.mark.task("3.3")

over_the_wire = pytest.mark.blackbox
GARBAGE = BROKEN | {
    "http": b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 20\r\n\r\nSET key value\r\n\r\n\r\n",
    "replies": b"+OK\r\n:1\r\n-ERR\r\n",
    "line_breaks": b"\r\n" * 50,
    "half_a_command": frame("SET", "garbage", "value")[:-4],
    "noise": random.Random(3).randbytes(5000),
}


# Several clients.


@over_the_wire
def test_clients_share_the_store(connect: Clients) -> None:
    """What one client sets, another gets, while both are connected."""
    one, other = connect(), connect()
    assert one.call("SET", "shared", "1") == b"OK"
    assert other.call("GET", "shared") == b"1"
    assert other.call("DEL", "shared") == 1
    assert one.call("GET", "shared") is None


@over_the_wire
def test_client_may_come_back(connect: Clients) -> None:
    """A hundred clients come and go, one after the other, and each finds what the one before has left."""
    connect().call("SET", "visits", "0")
    for number in range(100):
        with connect() as client:
            assert client.call("GET", "visits") == b"%d" % number
            assert client.call("SET", "visits", number + 1) == b"OK"


@over_the_wire
def test_clients_at_the_same_time(connect: Clients) -> None:
    """Four clients at the same time each get the replies to their own commands."""
    clients = [connect() for _ in range(4)]
    for name, client in enumerate(clients):
        client.send(b"".join(frame("SET", f"own{name}:{number}", f"{name} {number}" * 50) for number in range(200)))
    for client in clients:
        client.expect(b"+OK\r\n" * 200)
    for name, client in enumerate(clients):
        client.send(b"".join(frame("GET", f"own{name}:{number}") for number in range(200)))
    for name, client in enumerate(clients):
        assert [client.reply() for _ in range(200)] == [b"%d %d" % (name, number) * 50 for number in range(200)]


@over_the_wire
def test_conversations_are_apart(connect: Clients) -> None:
    """Pieces of commands of several clients, sent in turns, are put together with their own kind alone."""
    clients = [connect() for _ in range(4)]
    commands = [frame("SET", f"apart{name}", f"value {name}") + frame("GET", f"apart{name}") for name in range(4)]
    for at in range(0, len(commands[0]), 3):
        for client, data in zip(clients, commands, strict=True):
            client.send(data[at : at + 3])
    for name, client in enumerate(clients):
        client.expect(b"+OK\r\n$7\r\nvalue %d\r\n" % name)


@over_the_wire
def test_more_replies_than_a_socket_holds(connect: Clients) -> None:
    """A client that asks for 24 MiB before it reads gets all of it, in order."""
    client = connect()
    values = [bytes([letter]) * 100_000 for letter in b"abcd"]
    for number, value in enumerate(values):
        client.call("SET", f"large{number}", value)
    client.send(b"".join(frame("GET", f"large{number % 4}") for number in range(240)))
    assert connect().call("PING") == b"PONG"  # by now the server has found that the first client's socket is full
    for number in range(240):
        assert client.reply() == values[number % 4], f"reply {number}"


# Clients that misbehave.


@over_the_wire
def test_slow_clients_do_not_block_others(connect: Clients) -> None:
    """One client is silent, one stops in the middle of a command, one takes no replies: a fourth is served."""
    silent, slow, deaf = connect(), connect(), connect()
    assert silent.call("PING") == b"PONG"
    slow.send(frame("PING") + frame("SET", "slow", "value")[:20])
    slow.expect(b"+PONG\r\n")
    deaf.call("SET", "deaf", b"x" * 1_000_000)
    deaf.send(frame("GET", "deaf") * 30)
    other = connect()
    for number in range(20):
        assert other.call("SET", "other", number) == b"OK"
        assert other.call("GET", "other") == b"%d" % number
    slow.send(frame("SET", "slow", "value")[20:])
    slow.expect(b"+OK\r\n")


@over_the_wire
def test_disconnect_in_mid_command(connect: Clients) -> None:
    """A client that goes away in the middle of a command has done nothing by it, and takes nobody with it."""
    with connect() as other:
        data = frame("SET", "mid_command", "value")
        for cut in range(1, len(data)):
            client = connect()
            client.send(frame("PING") + data[:cut])
            client.expect(b"+PONG\r\n")
            client.close()
        assert other.call("EXISTS", "mid_command") == 0


@over_the_wire
def test_disconnect_before_the_replies(connect: Clients) -> None:
    """A client that goes away without waiting for its replies takes nobody with it; its commands may be done or not."""
    with connect() as client:
        client.call("SET", "unread", b"x" * 100_000)
    for number in range(20):
        client = connect()
        client.send(frame("GET", "unread") * 50)
        client.exactly(1)
        if number % 2:
            client.reset()
        else:
            client.close()
    four = [connect() for _ in range(4)]
    assert [each.call("PING") for each in four] == [b"PONG"] * 4


@over_the_wire
def test_resets(connect: Clients) -> None:
    """Fifty clients that reset their connections, at once or in mid-command, take nobody with them."""
    for number in range(50):
        client = connect()
        if number % 2:
            client.send(frame("SET", "reset", "value")[: number % 20])
        client.reset()
    four = [connect() for _ in range(4)]
    assert [each.call("PING") for each in four] == [b"PONG"] * 4


@over_the_wire
def test_half_closed_connection(connect: Clients) -> None:
    """A client that ends its side after its commands still gets all replies, and then the end."""
    client, value = connect(), b"x" * 100_000
    client.call("SET", "half", value)
    client.send(frame("GET", "half") * 70)  # more than sockets hold: the end comes before all replies are sent
    client.end_sending()
    assert connect().call("PING") == b"PONG"
    for number in range(70):
        assert client.reply() == value, f"reply {number}"
    client.expect_end()


@over_the_wire
@pytest.mark.parametrize("data", GARBAGE.values(), ids=GARBAGE)
def test_garbage_hurts_nobody(connect: Clients, data: bytes) -> None:
    """Whatever bytes a client sends, the server lives, the client is not left hanging, and others are served."""
    other = connect()
    other.call("SET", "garbage", "before")
    client = connect()
    client.send(data)
    client.end_sending()
    client.rest()
    assert other.call("GET", "garbage") == b"before"
    assert connect().call("PING") == b"PONG"


# The server as an object.


def test_address_is_the_real_one(host: Callable[..., Hosted]) -> None:
    """Port 0 is any that is free: `address` tells which, and two servers have two."""
    one, other = host(kvs.MemoryEngine()), host(kvs.MemoryEngine())
    for hosted in (one, other):
        name, _, port = hosted.address.rpartition(":")
        assert name == "127.0.0.1"
        assert 0 < int(port) < 65_536
        assert hosted.connect().call("PING") == b"PONG"
    assert one.address != other.address


def test_server_works_on_its_engine(host: Callable[..., Hosted]) -> None:
    """What clients set is in the engine that the server was given, and what is in it clients get."""
    engine = kvs.MemoryEngine()
    engine.set(b"before", b"1")
    client = host(engine).connect()
    assert client.call("GET", "before") == b"1"
    client.call("SET", "after", "2")
    client.call("DEL", "before")
    assert dict(engine) == {b"after": b"2"}


def test_data_is_there_after_a_restart(host: Callable[..., Hosted], tmp_path: Path) -> None:
    """What clients have set is in the directory, for the next server that opens it."""
    for number in range(3):
        with kvs.open(tmp_path, "log") as engine:
            hosted = host(engine)
            client = hosted.connect()
            assert client.call("GET", "restarts") == (b"%d" % number if number else None)
            assert client.call("SET", "restarts", number + 1) == b"OK"
            hosted.end()


def test_connections_cost_nothing_when_they_are_closed(host: Callable[..., Hosted]) -> None:
    """After a hundred connections there are as many threads and open files as before."""
    hosted = host(kvs.MemoryEngine())
    with hosted.connect() as first:
        first.call("PING")
    threads, files = threading.active_count(), _open_files()
    for number in range(100):
        client = hosted.connect()
        client.call("PING")
        if number % 10 == 0:
            client.reset()
        else:
            client.close()
    hosted.wait_until(lambda: threading.active_count() <= threads, "threads of connections that are gone still run")
    hosted.wait_until(lambda: _open_files() <= files, "sockets of connections that are gone are still open")


def _open_files() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.mark.extension
def test_idle_clients_hold_no_worker(host: Callable[..., Hosted]) -> None:
    """With a pool of four, a hundred clients that say nothing do not keep the next one waiting."""
    with kvs.SharedQueueThreadPool(4) as pool:
        hosted = host(kvs.MemoryEngine(), pool)
        idle = [hosted.connect() for _ in range(100)]
        assert all(client.call("PING") == b"PONG" for client in idle[:5])
        assert hosted.connect().call("SET", "key", "value") == b"OK"
        hosted.end()


@pytest.mark.extension
def test_large_values_both_ways(host: Callable[..., Hosted]) -> None:
    """A client may send 8 MiB of commands while it takes as much of replies: neither side waits for the other."""
    client = host(kvs.MemoryEngine()).connect()
    data = frame("ECHO", b"x" * 100_000) * 80
    sender = threading.Thread(target=client.socket.sendall, args=(data,))
    sender.start()
    for _ in range(80):
        client.expect(b"$100000\r\n" + b"x" * 100_000 + b"\r\n")
    sender.join(DEADLINE_S)
    assert not sender.is_alive()
