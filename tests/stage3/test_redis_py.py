"""Extension of task 3.3: a client of the field, redis-py, works on the server as it is."""

from collections.abc import Iterator
from typing import Any

import pytest
from support.talk import DEADLINE_S, Clients

redis: Any = pytest.importorskip("redis", reason="redis-py is not installed: pip install redis")

pytestmark = [pytest.mark.task("3.3"), pytest.mark.blackbox, pytest.mark.extension]


@pytest.fixture(params=[2, 3], ids=["resp2", "resp3"])
def client(request: pytest.FixtureRequest, connect: Clients) -> Iterator[Any]:
    """Return redis-py's client, speaking either version of the protocol."""
    host, _, port = connect.address.rpartition(":")
    made = redis.Redis(host=host, port=int(port), protocol=request.param, socket_timeout=DEADLINE_S)
    yield made
    made.close()


def test_redis_py(client: Any) -> None:
    """redis-py sets, gets, counts and removes."""
    assert client.ping()
    assert client.echo("☃") == "☃".encode()
    assert client.set("redis-py", b"a\r\nb\0")
    assert client.get("redis-py") == b"a\r\nb\0"
    assert client.exists("redis-py", "redis-py") == 2
    assert client.delete("redis-py", "redis-py:nothing") == 1
    assert client.get("redis-py") is None


def test_redis_py_pipeline(client: Any) -> None:
    """A pipeline of redis-py gets its replies in order."""
    with client.pipeline(transaction=False) as pipe:
        for number in range(100):
            pipe.set("redis-py:pipeline", number)
            pipe.get("redis-py:pipeline")
        replies = pipe.execute()
    assert replies == [reply for number in range(100) for reply in (True, b"%d" % number)]


def test_redis_py_error(client: Any) -> None:
    """redis-py raises an error reply as such, and goes on with the same connection."""
    with pytest.raises(redis.ResponseError, match="unknown command"):
        client.execute_command("NONSENSE", "key")
    with pytest.raises(redis.ResponseError, match="wrong number of arguments"):
        client.execute_command("GET")
    assert client.ping()
