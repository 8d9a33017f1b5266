"""redis-py, unmodified, in both protocols: values, pipelines, transactions, walks, pools, and what it asks about."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest
from support.served import DEADLINE_S, Served

redis = pytest.importorskip("redis")

EACH_DESIGN = pytest.mark.parametrize("server", ["loop", "ready"], indirect=True)


@pytest.fixture(params=[2, 3], ids=["protocol-2", "protocol-3"])
def protocol(request: pytest.FixtureRequest) -> int:
    """Return the protocol that the client speaks."""
    return int(request.param)


@pytest.fixture
def client(server: Served, protocol: int) -> Iterator[Any]:
    """Return a client of a server with an empty store."""
    with redis.Redis(server.host, server.port, protocol=protocol, socket_timeout=DEADLINE_S) as it:
        yield it


# Values.


def test_it_needs_no_options(server: Served) -> None:
    """Made with nothing but an address, the client greets in its own way, and is served."""
    with redis.Redis(server.host, server.port) as client:
        assert client.ping() is True
        assert client.set("k", "v") is True
        assert client.get("k") == b"v"
        assert client.client_info()["lib-name"].startswith("redis-py")


@EACH_DESIGN
def test_values(client: Any) -> None:
    """Values are set, read, changed and removed, one or several at a time, under conditions, and bit by bit."""
    assert client.set("k", "v") is True
    assert client.get("k") == b"v"
    assert client.get("nothing") is None
    assert client.set("k", "w", nx=True) is None
    assert client.set("k", "w", xx=True, get=True) == b"v"
    assert client.mset({"a": "1", "b": "2"}) is True
    assert client.mget("a", "b", "nothing") == [b"1", b"2", None]
    assert client.msetnx({"b": "3", "c": "3"}) is False
    assert client.setnx("c", "3") is True
    assert client.exists("a", "b", "c", "nothing") == 3
    assert client.delete("a", "nothing") == 1
    assert client.unlink("b") == 1
    assert client.getdel("c") == b"3"
    assert client.getset("k", "x") == b"w"
    assert client.append("k", "yz") == 3
    assert client.strlen("k") == 3
    assert client.getrange("k", 1, -1) == b"yz"
    assert client.setrange("k", 1, "__") == 3
    assert client.get("k") == b"x__"
    assert client.type("k") == b"string"
    assert client.rename("k", "l") is True
    assert client.keys("*") == [b"l"]
    assert client.randomkey() == b"l"
    assert client.dbsize() == 1
    assert client.flushdb() is True
    assert client.dbsize() == 0


def test_numbers(client: Any) -> None:
    """Numbers are counted up and down, to the ends of 64 bits and not beyond."""
    assert client.incr("n") == 1
    assert client.incrby("n", 41) == 42
    assert client.decr("n") == 41
    assert client.decrby("n", 50) == -9
    client.set("n", (1 << 63) - 1)
    with pytest.raises(redis.ResponseError, match="increment or decrement would overflow"):
        client.incr("n")
    assert client.get("n") == b"9223372036854775807"


def test_any_bytes(client: Any) -> None:
    """Keys and values may hold any bytes; a value of megabytes comes back whole."""
    every, large = bytes(range(256)), bytes(range(256)) * 16_384  # 4 MiB
    client.set(every, every)
    client.set("large", large)
    client.set("empty", b"")
    assert client.get(every) == every
    assert client.get("large") == large
    assert client.get("empty") == b""
    assert sorted(client.keys()) == sorted([every, b"empty", b"large"])


def test_text(server: Served, protocol: int) -> None:
    """With decode_responses text comes back as text, keys too."""
    with redis.Redis(server.host, server.port, protocol=protocol, decode_responses=True) as client:
        client.set("Wörter", "schöne ☂")
        assert client.get("Wörter") == "schöne ☂"
        assert client.keys("W*") == ["Wörter"]
        assert client.scan() == (0, ["Wörter"])


def test_errors_keep_the_connection(client: Any) -> None:
    """What the server does not do or understand is an error of the client's own kind, and the connection lives on."""
    number = client.client_id()
    client.set("text", "x")
    for words, said in (
        (("LPUSH", "list", "1"), "unknown command 'LPUSH', with args beginning with: 'list' '1' "),
        (("GET",), "wrong number of arguments for 'get' command"),
        (("INCR", "text"), "value is not an integer or out of range"),
        (("SET", "k", "v", "NONSENSE"), "syntax error"),
    ):
        with pytest.raises(redis.ResponseError) as caught:
            client.execute_command(*words)
        assert str(caught.value) == said
    with pytest.raises(redis.ResponseError, match="time to live is not supported"):
        client.set("k", "v", ex=10)
    with pytest.raises(redis.ResponseError, match="time to live is not supported"):
        client.expire("text", 10)
    assert client.exists("k", "list") == 0
    assert client.client_id() == number


# Pipelines and transactions.


@EACH_DESIGN
def test_a_pipeline_is_a_transaction(client: Any) -> None:
    """pipeline() sends MULTI and EXEC around its commands; their results come back in order, each of its own kind."""
    results = client.pipeline().set("n", 1).incr("n").get("n").mget("n", "nothing").delete("n").exists("n").execute()
    assert results == [True, 2, b"2", [b"2", None], 1, 0]


@EACH_DESIGN
def test_a_plain_pipeline(client: Any) -> None:
    """pipeline(transaction=False) sends a thousand commands at once, and gets a thousand answers in order."""
    pipeline = client.pipeline(transaction=False)
    for number in range(1_000):
        pipeline.set(f"key:{number}", number)
        pipeline.get(f"key:{number}")
    assert pipeline.execute() == [answer for number in range(1_000) for answer in (True, b"%d" % number)]
    assert client.dbsize() == 1_000


def test_an_error_within_a_transaction(client: Any) -> None:
    """A command that fails when it is carried out is raised or returned; those around it are carried out."""
    client.set("text", "x")
    pipeline = client.pipeline().set("a", 1).incr("text").set("b", 2)
    with pytest.raises(redis.ResponseError, match=r"Command # 2 \(INCRBY text 1\).*value is not an integer"):
        pipeline.execute()
    first, error, last = client.pipeline().incr("a").incr("text").incr("b").execute(raise_on_error=False)
    assert (first, last) == (2, 3)
    assert isinstance(error, redis.ResponseError)


def test_a_transaction_with_a_command_that_there_is_not(client: Any) -> None:
    """A command that is refused when it is queued undoes the whole transaction."""
    pipeline = client.pipeline().set("a", 1).execute_command("NONSENSE")
    with pytest.raises(redis.ResponseError):
        pipeline.execute()
    assert client.get("a") is None


@EACH_DESIGN
def test_a_watched_key_that_changes(client: Any) -> None:
    """EXEC does nothing when a watched key was changed meanwhile: WatchError; and then all goes on."""
    client.set("k", "old")
    with client.pipeline() as pipeline:
        pipeline.watch("k")
        assert pipeline.get("k") == b"old"
        client.set("k", "other")
        pipeline.multi()
        pipeline.set("k", "mine")
        with pytest.raises(redis.WatchError):
            pipeline.execute()
    assert client.get("k") == b"other"
    assert client.pipeline().get("k").execute() == [b"other"]


@EACH_DESIGN
def test_a_counter_by_watching(client: Any) -> None:
    """Threads that read, watch, write and try again when they were disturbed lose no increment."""

    def count(_thread: int) -> int:
        return sum(bool(client.transaction(add_one, "n")) for _ in range(25))

    def add_one(pipeline: Any) -> None:
        value = int(pipeline.get("n") or 0)
        pipeline.multi()
        pipeline.set("n", value + 1)

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(count, range(4), timeout=DEADLINE_S)) == 100
    assert client.get("n") == b"100"


# Walks.


@EACH_DESIGN
def test_scan_iter(client: Any) -> None:
    """scan_iter walks over all keys in pages, each key once; over those of a pattern, too."""
    client.mset({f"key:{number}": number for number in range(1_000)})
    keys = list(client.scan_iter(count=70))
    assert len(keys) == 1_000
    assert set(keys) == {b"key:%d" % number for number in range(1_000)}
    assert sorted(client.scan_iter("key:99*")) == [b"key:99", *(b"key:99%d" % digit for digit in range(10))]
    assert list(client.scan_iter(_type="list")) == []


def test_a_scan_in_key_order(client: Any) -> None:
    """KVS.SCAN, which the client does not know, goes through execute_command."""
    client.mset({"a": "1", "b": "2", "c": "3"})
    assert client.execute_command("KVS.SCAN", "a", "c") == [b"a", b"1", b"b", b"2"]
    assert client.execute_command("KVS.SCAN", "", "", "REVERSE", "LIMIT", 2) == [b"c", b"3", b"b", b"2"]
    assert client.execute_command("KVS.SCAN", "", "", "KEYS") == [b"a", b"b", b"c"]


# Connections.


@EACH_DESIGN
def test_a_pool_of_connections(server: Served, protocol: int) -> None:
    """Eight threads share four connections: no increment is lost, and there are no more connections than four."""
    each = {"host": server.host, "port": server.port, "protocol": protocol, "client_name": "pooled"}
    with closing(redis.BlockingConnectionPool(max_connections=4, timeout=DEADLINE_S, **each)) as pool:
        client = redis.Redis(connection_pool=pool)

        def count(_thread: int) -> set[int]:
            return {client.incr("n") for _ in range(50)}

        with ThreadPoolExecutor(8) as threads:
            seen = list(threads.map(count, range(8), timeout=DEADLINE_S))
        assert set().union(*seen) == set(range(1, 401))
        assert 1 <= [one["name"] for one in client.client_list()].count("pooled") <= 4


def test_a_connection_that_was_killed(client: Any, server: Served) -> None:
    """A client whose connection the server closed makes another by itself."""
    number = client.client_id()
    with redis.Redis(server.host, server.port) as other:
        assert other.client_kill_filter(_id=number) == 1
        other.set("k", "v")
    assert client.get("k") == b"v"
    assert client.client_id() > number


def test_who_is_connected(client: Any) -> None:
    """A connection has a number and a name, and stands in the list with both."""
    assert client.client_setname("me") is True
    assert client.client_getname() in ("me", b"me")
    mine = next(each for each in client.client_list() if each["name"] == "me")
    assert int(mine["id"]) == client.client_id()
    assert client.client_info()["name"] == "me"


# What it asks about the server.


def test_what_the_server_tells(client: Any, protocol: int) -> None:
    """INFO, CONFIG, COMMAND, TIME and MEMORY USAGE come in shapes that the client can read."""
    client.set("k", "v")
    info = client.info()
    assert info["redis_version"].startswith("7.")
    assert info["engine"] == "lockfree"
    assert info["db0"] == {"keys": 1, "expires": 0, "avg_ttl": 0}
    assert client.info("clients").keys() >= {"connected_clients", "maxclients"}
    assert client.config_get("max*")["maxmemory"] == "0"
    commands = client.command()
    assert commands["get"]["arity"] == 2
    assert commands["mset"]["step_count"] == 2
    assert client.command_count() == len(commands)
    assert client.command_getkeys("MSET", "a", 1, "b", 2) in (["a", "b"], [b"a", b"b"])
    assert client.time()[0] > 1_700_000_000
    assert client.memory_usage("k") > 0
    assert client.ttl("k") == -1
    assert client.ttl("nothing") == -2
    assert client.execute_command("HELLO", protocol)[b"proto" if protocol == 3 else 5] == protocol


def test_saving(client: Any) -> None:
    """SAVE, BGSAVE and LASTSAVE say when what was written is on the disk; BGREWRITEAOF compacts."""
    client.set("k", "v")
    before = client.lastsave()
    assert client.save() is True
    assert client.lastsave() >= before
    assert client.bgsave()
    assert client.bgrewriteaof()
    assert client.info("keyspace")["unsynced_bytes"] == 0
