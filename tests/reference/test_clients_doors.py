"""The field's clients through the other doors: a Unix socket, and TLS, both with a password."""

import asyncio
import json
from pathlib import Path

import pytest
from support.certificates import make_pair
from support.clients import NODE_CLIENTS, node, program, run
from support.served import Serve, Served

PASSWORD = "only-for-tests"


@pytest.fixture
def unix(serve: Serve, tmp_path: Path) -> str:
    """Return the path of the socket of a server that asks for a password."""
    path = str(tmp_path / "kvs.sock")
    serve("--addr", f"unix:{path}", env={"KVS_PASSWORD": PASSWORD})
    return path


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return a certificate and its key."""
    return make_pair(tmp_path_factory.mktemp("certificates"), "server")


@pytest.fixture
def tls(serve: Serve, pair: tuple[str, str]) -> Served:
    """Return a server that speaks TLS and asks for a password."""
    return serve("--tls-cert", pair[0], "--tls-key", pair[1], env={"KVS_PASSWORD": PASSWORD})


# redis-cli.


def test_redis_cli_with_a_password(serve: Serve) -> None:
    """Without the password redis-cli is told to authenticate, with a wrong one that it is wrong; else it is served."""
    served = serve(env={"KVS_PASSWORD": PASSWORD})
    cli = [program("redis-cli"), "-p", str(served.port)]
    assert run(*cli, "GET", "k").stdout == b"NOAUTH Authentication required.\n\n"
    wrong = run(*cli, "GET", "k", env={"REDISCLI_AUTH": "wrong"})
    assert b"AUTH failed: WRONGPASS invalid username-password pair or user is disabled." in wrong.stderr
    assert run(*cli, "SET", "k", "v", env={"REDISCLI_AUTH": PASSWORD}).stdout == b"OK\n"
    assert run(*cli, "--user", "default", "--pass", PASSWORD, "--no-auth-warning", "GET", "k").stdout == b"v\n"
    assert run(*cli, "-3", "GET", "k", env={"REDISCLI_AUTH": PASSWORD}).stdout == b"v\n"
    assert PASSWORD not in served.stderr


def test_redis_cli_on_a_unix_socket(unix: str) -> None:
    """redis-cli -s, one command and a pipe."""
    cli = [program("redis-cli"), "-s", unix]
    password = {"REDISCLI_AUTH": PASSWORD}
    assert run(*cli, "SET", "k", "v", env=password).stdout == b"OK\n"
    assert b"errors: 0, replies: 2\n" in run(*cli, "--pipe", stdin=b"SET a 1\r\nSET b 2\r\n", env=password).stdout
    assert run(*cli, "MGET", "k", "a", "b", env=password).stdout == b"v\n1\n2\n"


def test_redis_cli_over_tls(tls: Served, pair: tuple[str, str]) -> None:
    """redis-cli --tls checks the certificate and is served; without the certificate it refuses the server."""
    path = program("redis-cli")
    if b"--tls" not in run(path, "--help").stdout + run(path, "--help").stderr:
        pytest.skip("this redis-cli was built without TLS")
    cli = [path, "-h", "localhost", "-p", str(tls.port), "--tls"]
    password = {"REDISCLI_AUTH": PASSWORD}
    assert run(*cli, "--cacert", pair[0], "SET", "k", "v", env=password).stdout == b"OK\n"
    piped = run(*cli, "--cacert", pair[0], "--pipe", stdin=b"SET a 1\r\n" * 1_000, env=password)
    assert b"errors: 0, replies: 1000\n" in piped.stdout
    assert run(*cli, "--cacert", pair[0], "GET", "k", env=password).stdout == b"v\n"
    assert b"certificate verify failed" in run(*cli, "PING", env=password).stderr


def test_redis_benchmark_over_tls(tls: Served, pair: tuple[str, str]) -> None:
    """redis-benchmark --tls counts every increment once."""
    path = program("redis-benchmark")
    if b"--tls" not in run(path, "--help").stdout:
        pytest.skip("this redis-benchmark was built without TLS")
    where = ["-h", "localhost", "-p", str(tls.port), "--tls", "--cacert", pair[0], "-a", PASSWORD]
    done = run(path, *where, "-n", "500", "-c", "10", "-t", "incr", "-q")
    assert done.returncode == 0, done
    redis = pytest.importorskip("redis")
    with redis.Redis("localhost", tls.port, ssl=True, ssl_ca_certs=pair[0], password=PASSWORD) as client:
        assert client.get("counter:__rand_int__") == b"500"


# redis-py.


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_with_a_password(serve: Serve, protocol: int) -> None:
    """Without the password redis-py raises AuthenticationError, and with a wrong one; else it is served."""
    redis = pytest.importorskip("redis")
    served = serve(env={"KVS_PASSWORD": PASSWORD})
    for wrong in (None, "wrong"):
        with (
            redis.Redis(served.host, served.port, protocol=protocol, password=wrong, retry=None) as client,
            pytest.raises(redis.AuthenticationError),
        ):
            client.ping()
    for right in ({"password": PASSWORD}, {"username": "default", "password": PASSWORD}):
        with redis.Redis(served.host, served.port, protocol=protocol, **right) as client:
            assert client.set("k", "v") is True
            assert client.get("k") == b"v"
    assert PASSWORD not in served.stderr


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_on_a_unix_socket(unix: str, protocol: int) -> None:
    """redis-py on a Unix socket, threads and asyncio."""
    redis = pytest.importorskip("redis")
    with redis.Redis(unix_socket_path=unix, password=PASSWORD, protocol=protocol) as client:
        assert client.pipeline().set("k", 1).incr("k").execute() == [True, 2]

    async def talk() -> None:
        async with redis.asyncio.Redis(unix_socket_path=unix, password=PASSWORD, protocol=protocol) as client:
            assert await client.get("k") == b"2"

    asyncio.run(talk())


@pytest.mark.parametrize("protocol", [2, 3])
def test_redis_py_over_tls(tls: Served, pair: tuple[str, str], protocol: int) -> None:
    """redis-py over TLS, threads and asyncio, megabytes both ways; without the certificate it refuses the server."""
    redis = pytest.importorskip("redis")
    large = bytes(range(256)) * 8_192  # 2 MiB
    words = {"host": "localhost", "port": tls.port, "ssl": True, "password": PASSWORD, "protocol": protocol}
    with redis.Redis(**words, ssl_ca_certs=pair[0]) as client:
        assert client.set("large", large) is True
        assert client.get("large") == large

    async def talk() -> None:
        async with redis.asyncio.Redis(**words, ssl_ca_certs=pair[0]) as client:
            assert await client.get("large") == large

    asyncio.run(talk())
    with redis.Redis(**words, retry=None) as client, pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY"):
        client.ping()


def test_redis_py_by_url(tls: Served, pair: tuple[str, str]) -> None:
    """The URL that redis-py understands, rediss://, leads here; so does the database in it, which is 0."""
    redis = pytest.importorskip("redis")
    with redis.from_url(f"rediss://:{PASSWORD}@localhost:{tls.port}/0?ssl_ca_certs={pair[0]}") as client:
        assert client.ping() is True


# Node.


@pytest.mark.parametrize(("client", "protocol"), [("node_redis", 2), ("node_redis", 3), ("ioredis", 2)])
@pytest.mark.parametrize("door", ["unix", "tls"])
def test_node(request: pytest.FixtureRequest, client: str, protocol: int, door: str, pair: tuple[str, str]) -> None:
    """Node's clients play their scenarios on a Unix socket and over TLS as they do on a plain one."""
    path = node()
    if door == "unix":
        where = {"path": request.getfixturevalue("unix")}
    else:
        where = {"host": "localhost", "port": request.getfixturevalue("tls").port, "ca": pair[0]}
    words = where | {"password": PASSWORD, "protocol": protocol}
    done = run(path, NODE_CLIENTS / f"{client}.mjs", json.dumps(words))
    assert (done.returncode, done.stderr) == (0, b"")
    seen = json.loads(done.stdout)
    assert seen["values"][:2] == ["OK", "v"]
    assert seen["bytes"] == [1 << 20, True]
    assert seen["pipelined"] == [2_000, [], 1_000]
