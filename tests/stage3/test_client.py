"""Task 3.3: KvsClient: a store behind a server, used as if it were here."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from support.hosted import FaultyEngine, Hosted
from support.talk import nobody, stranger

import kvs
from kvs import KvsClient

pytestmark = pytest.mark.task("3.3")

VALUES = [b"", b"value", b"a\r\nb\n", b"$-1\r\n", bytes(range(256)), "☃".encode(), b"x" * 3_000_000]


@pytest.fixture
def engine() -> kvs.MemoryEngine:
    """Return the engine behind the server."""
    return kvs.MemoryEngine()


@pytest.fixture
def hosted(host: Callable[..., Hosted], engine: kvs.Engine) -> Hosted:
    """Return a server of that engine."""
    return host(engine)


@pytest.fixture
def client(hosted: Hosted) -> Iterator[KvsClient]:
    """Return a client of that server."""
    made = KvsClient(hosted.address)
    yield made
    made.close()


@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_set_and_get(client: KvsClient, engine: kvs.Engine, value: bytes) -> None:
    """What a client sets is in the engine, and is what it gets, whatever bytes it has and however many."""
    client.set(b"key", value)
    assert engine.get(b"key") == value
    assert client.get(b"key") == value


def test_get_of_nothing(client: KvsClient) -> None:
    """Where there is no value, get returns None, or the default: not so where there is an empty one."""
    assert client.get(b"key") is None
    assert client.get(b"key", b"default") == b"default"
    client.set(b"key", b"")
    assert client.get(b"key", b"default") == b""


def test_remove(client: KvsClient, engine: kvs.Engine) -> None:
    """A client removes a key, and removing what is not there raises, as with any store."""
    engine.set(b"key", b"value")
    client.remove(b"key")
    assert engine.get(b"key") is None
    with pytest.raises(kvs.KeyNotFoundError):
        client.remove(b"key")


def test_keys_of_any_bytes(client: KvsClient, engine: kvs.Engine) -> None:
    """A key may be any bytes: the other side finds the same."""
    for key in (b"", b"\r\n", b"a b", b"\0\xff", b"k" * 65_535):
        client.set(key, b"value of " + key[:9])
        assert client.get(key) == b"value of " + key[:9] == engine.get(key)


def test_many_commands_on_one_client(client: KvsClient) -> None:
    """Each answer belongs to its own question, over a thousand of them."""
    for number in range(500):
        client.set(b"key%d" % (number % 10), b"%d" % number)
        assert client.get(b"key%d" % (number % 10)) == b"%d" % number


@pytest.mark.parametrize("wrong", ["text", 1, None, ["a"]])
def test_other_types_are_refused(client: KvsClient, engine: kvs.Engine, wrong: Any) -> None:
    """Keys and values are bytes: anything else is a TypeError here, and never reaches the server."""
    calls: list[Callable[[], object]] = [
        lambda: client.get(wrong),
        lambda: client.set(wrong, b"value"),
        lambda: client.set(b"key", wrong),
        lambda: client.remove(wrong),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert dict(engine) == {}


def test_error_reply_is_raised(host: Callable[..., Hosted]) -> None:
    """An error reply is raised as RemoteError with the server's words, and the client can be used on."""
    client = KvsClient(host(FaultyEngine(kvs.StorageError("the disk is gone"))).address)
    with pytest.raises(kvs.RemoteError, match="the disk is gone"):
        client.get(b"bad")
    with pytest.raises(kvs.RemoteError, match="the disk is gone"):
        client.set(b"bad", b"value")
    client.set(b"good", b"value")
    assert client.get(b"good") == b"value"
    client.close()


def test_no_server() -> None:
    """Where nobody listens, the client says so, with the address, by a DisconnectedError."""
    with nobody() as address, pytest.raises(kvs.DisconnectedError, match=address):
        KvsClient(address).get(b"key")


def test_server_goes_away() -> None:
    """When the server is gone, the next call raises DisconnectedError; it does not wait for ever."""
    with stranger(b"+OK\r\n", visits=1) as address:
        client = KvsClient(address)
        client.set(b"key", b"value")
        with pytest.raises(kvs.DisconnectedError):
            client.get(b"key")
        with pytest.raises(kvs.DisconnectedError):
            client.set(b"key", b"other")
        client.close()


@pytest.mark.parametrize("reply", [b"", b"$10\r\nabc", b"$3\r\nab", b"+O", b":12"], ids=repr)
def test_server_goes_away_in_mid_reply(reply: bytes) -> None:
    """A reply that ends too early is no value: DisconnectedError is raised."""
    with stranger(reply) as address:
        client = KvsClient(address)
        with pytest.raises(kvs.DisconnectedError):
            client.get(b"key")
        client.close()


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"$abc\r\n", b"$-7\r\n", b"\0\0\0\0\r\n", b":5\r\n"], ids=repr
)
def test_server_speaks_something_else(reply: bytes) -> None:
    """What is no reply to GET is no value: a KvsError is raised, such as ProtocolError."""
    with stranger(reply) as address:
        client = KvsClient(address)
        with pytest.raises(kvs.KvsError):
            client.get(b"key")
        client.close()


def test_closed_client(client: KvsClient) -> None:
    """A client that was closed raises StoreClosedError, as any store does; closing it again is fine."""
    client.set(b"key", b"value")
    client.close()
    client.close()
    with pytest.raises(kvs.StoreClosedError):
        client.get(b"key")


def test_two_clients(hosted: Hosted, client: KvsClient) -> None:
    """Two clients of one server see the same store."""
    other = KvsClient(hosted.address)
    client.set(b"key", b"1")
    assert other.get(b"key") == b"1"
    other.remove(b"key")
    assert client.get(b"key") is None
    other.close()
