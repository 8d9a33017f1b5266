"""redis-py's asyncio side, unmodified, in both protocols: many tasks at once, pipelines, transactions, walks."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from support.served import DEADLINE_S, Served

redis = pytest.importorskip("redis")
aio = pytest.importorskip("redis.asyncio")

EACH_DESIGN = pytest.mark.parametrize("server", ["loop", "ready"], indirect=True)

Run = Callable[[Callable[[Any], Awaitable[None]]], None]


@pytest.fixture(params=[2, 3], ids=["protocol-2", "protocol-3"])
def run(request: pytest.FixtureRequest, server: Served) -> Run:
    """Return what runs a coroutine function with a client of a server with an empty store."""

    async def with_client(talk: Callable[[Any], Awaitable[None]]) -> None:
        async with aio.Redis(host=server.host, port=server.port, protocol=request.param, max_connections=100) as client:
            await asyncio.wait_for(talk(client), DEADLINE_S)

    return lambda talk: asyncio.run(with_client(talk))


@EACH_DESIGN
def test_many_tasks_at_once(run: Run) -> None:
    """Fifty tasks, each with a connection of its own: every value is there after, and no increment is lost."""

    async def work(client: Any, number: int) -> list[int]:
        assert await client.set(f"key:{number}", number) is True
        assert await client.get(f"key:{number}") == b"%d" % number
        return [await client.incr("n") for _ in range(10)]

    async def talk(client: Any) -> None:
        counted = await asyncio.gather(*(work(client, number) for number in range(50)))
        assert sorted(count for each in counted for count in each) == list(range(1, 501))
        assert await client.dbsize() == 51

    run(talk)


@EACH_DESIGN
def test_pipelines(run: Run) -> None:
    """A pipeline is a transaction unless told otherwise; answers come in order."""

    async def talk(client: Any) -> None:
        async with client.pipeline() as pipeline:
            assert await pipeline.set("n", 1).incr("n").get("n").mget("n", "nothing").execute() == [
                True,
                2,
                b"2",
                [b"2", None],
            ]
        async with client.pipeline(transaction=False) as pipeline:
            for number in range(1_000):
                pipeline.set(f"key:{number}", number)
            assert await pipeline.execute() == [True] * 1_000
        assert await client.dbsize() == 1_001

    run(talk)


@EACH_DESIGN
def test_a_counter_by_watching(run: Run) -> None:
    """Tasks that read, watch, write and try again when they were disturbed lose no increment."""

    async def add_one(pipeline: Any) -> None:
        value = int(await pipeline.get("n") or 0)
        await asyncio.sleep(0)
        pipeline.multi()
        pipeline.set("n", value + 1)

    async def count(client: Any) -> None:
        for _ in range(10):
            assert await client.transaction(add_one, "n") == [True]

    async def talk(client: Any) -> None:
        await asyncio.gather(*(count(client) for _ in range(5)))
        assert await client.get("n") == b"50"

    run(talk)


def test_scan_iter(run: Run) -> None:
    """scan_iter walks over all keys, each once."""

    async def talk(client: Any) -> None:
        await client.mset({f"key:{number}": number for number in range(500)})
        keys = [key async for key in client.scan_iter(count=70)]
        assert len(keys) == 500
        assert set(keys) == {b"key:%d" % number for number in range(500)}

    run(talk)


def test_errors(run: Run) -> None:
    """What the server refuses is an error of the client's own kind, and the client lives on."""

    async def talk(client: Any) -> None:
        with pytest.raises(redis.ResponseError, match="unknown command 'LPUSH'"):
            await client.lpush("list", 1)
        await client.set("text", "x")
        with pytest.raises(redis.ResponseError, match="value is not an integer or out of range"):
            await client.incr("text")
        assert await client.ping() is True

    run(talk)


def test_commands_that_are_given_up(run: Run, server: Served) -> None:
    """A task that is cancelled while it waits for its answer leaves none behind that another would take for its own."""

    async def talk(client: Any) -> None:
        wanted = [b"%d" % number for number in range(50)]
        await client.mset({f"key:{number}": number for number in range(50)})
        assert await asyncio.gather(*(client.get(f"key:{number}") for number in range(50))) == wanted
        server.signal(signal.SIGSTOP)  # so that no answer comes before half of the tasks are cancelled
        try:
            tasks = [asyncio.create_task(client.get(f"key:{number}")) for number in range(50)]
            for _ in range(5):
                await asyncio.sleep(0)
            for task in tasks[::2]:
                task.cancel()
        finally:
            server.signal(signal.SIGCONT)
        answers = await asyncio.gather(*tasks, return_exceptions=True)
        assert answers[1::2] == wanted[1::2]
        assert all(isinstance(answer, asyncio.CancelledError) for answer in answers[::2])
        assert await asyncio.gather(*(client.get(f"key:{number}") for number in range(50))) == wanted

    run(talk)
