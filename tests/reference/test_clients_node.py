"""The clients of Node, unmodified: node-redis in both protocols, and ioredis. What each saw comes back as JSON."""

import json
from functools import cache
from typing import Any

import pytest
from support.clients import NODE_CLIENTS, node, run
from support.served import Served

EACH_DESIGN = pytest.mark.parametrize("server", ["loop", "ready"], indirect=True)
CLIENTS = [("node_redis", 2), ("node_redis", 3), ("ioredis", 2)]
WALKED = ["key:29", *(f"key:29{digit}" for digit in range(10))]
UNKNOWN = "ERR unknown command '{}', with args beginning with: 'list' '1' "
NOT_A_NUMBER = "ERR value is not an integer or out of range"
NO_TIME_TO_LIVE = "ERR a time to live is not supported: keys stay until they are removed"


@cache
def seen_by(client: str, protocol: int, host: str, port: int) -> dict[str, Any]:
    """Let a client play its scenarios, and return what it saw in each."""
    where = {"host": host, "port": port, "protocol": protocol}
    done = run(node(), NODE_CLIENTS / f"{client}.mjs", json.dumps(where))
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@pytest.fixture(params=CLIENTS, ids=lambda client: f"{client[0]}-{client[1]}")
def who(request: pytest.FixtureRequest) -> tuple[str, int]:
    """Return a client, and the protocol that it speaks."""
    client, protocol = request.param
    return client, protocol


@pytest.fixture
def seen(who: tuple[str, int], server: Served) -> dict[str, Any]:
    """Return what a client saw of a server, scenario by scenario."""
    return seen_by(*who, server.host, server.port)


@EACH_DESIGN
def test_values(seen: dict[str, Any]) -> None:
    """Values are set, read, changed and removed; text of any language counts by its bytes."""
    assert seen["values"] == [
        *("OK", "v", None, None),
        *("OK", ["1", "2", None], 2, 2, 42, 1),
        *(4, 4, "v☂"),
        *(0, "string", -1, 1, "PONG"),
    ]


@EACH_DESIGN
def test_any_bytes(seen: dict[str, Any]) -> None:
    """A key and a value of any bytes, of a mebibyte, come back as they were."""
    assert seen["bytes"] == [1 << 20, True]


@EACH_DESIGN
def test_two_thousand_at_once(seen: dict[str, Any]) -> None:
    """Two thousand commands sent without waiting are answered in order."""
    assert seen["pipelined"] == [2_000, [], 1_000]


@EACH_DESIGN
def test_transactions(seen: dict[str, Any], who: tuple[str, int]) -> None:
    """MULTI and EXEC: answers in order, a failing command among them, and nothing of one that was refused."""
    if who[0] == "ioredis":
        assert seen["transactions"] == [
            [[None, "OK"], [None, 2], [None, "2"]],
            ["OK", NOT_A_NUMBER, "OK"],
            ["ReplyError", "EXECABORT Transaction discarded because of previous errors."],
            None,
        ]
        return
    assert seen["transactions"] == [
        ["OK", 2, "2"],
        ["OK", 6],
        ["MultiErrorReply", [1], ["1", "2"]],
        ["SimpleError", "ERR unknown command 'NONSENSE', with args beginning with: "],
        None,
    ]


@EACH_DESIGN
def test_a_watched_key(seen: dict[str, Any], who: tuple[str, int]) -> None:
    """EXEC does nothing when a watched key was changed meanwhile, and is carried out when it was not."""
    if who[0] == "ioredis":
        assert seen["watched"] == [None, [[None, "OK"]], "mine"]
        return
    disturbed = ["WatchError", "One (or more) of the watched keys has been changed"]
    assert seen["watched"] == [disturbed, ["OK"], "mine"]


@EACH_DESIGN
def test_a_walk(seen: dict[str, Any]) -> None:
    """A walk in pages sees each key once; one with a pattern sees those that match."""
    assert seen["walk"] == [300, 300, WALKED]


def test_errors(seen: dict[str, Any], who: tuple[str, int]) -> None:
    """What the server refuses is an error of the client's own kind, and the connection lives on."""
    kind, spelled = ("ReplyError", "lpush") if who[0] == "ioredis" else ("SimpleError", "LPUSH")
    texts = [UNKNOWN.format(spelled), NOT_A_NUMBER, NO_TIME_TO_LIVE]
    assert seen["errors"] == [*([kind, text] for text in texts), "PONG"]


def test_what_the_server_tells(seen: dict[str, Any], who: tuple[str, int]) -> None:
    """Names of connections, settings, figures, commands and our own KVS.SCAN come as the client can read them."""
    figures = ["# Keyspace", "engine:lockfree", "keys:0"]
    if who[0] == "ioredis":
        assert seen["about"] == ["node", ["databases", "1"], figures, True, []]
        return
    get = ["get", 2, 1, ["fast", "readonly"]]
    assert seen["about"] == ["node", ["node", "node-redis"], {"databases": "1"}, figures, get, True, []]


def test_the_lock_names_no_place() -> None:
    """Every package is pinned by its checksum, and none by the place that it came from: any registry will do."""
    packages = json.loads((NODE_CLIENTS / "package-lock.json").read_text())["packages"]
    others = {name: package for name, package in packages.items() if name}
    assert {"node_modules/redis", "node_modules/ioredis"} <= set(others)
    assert all(package["integrity"].startswith("sha512-") for package in others.values())
    assert not any("resolved" in package for package in others.values())
