"""What the tests of stage 3 talk to: a connection without a socket, a server in this process, or a program."""

# ruff: noqa: PLC0415  # pytest reads this file before it is settled which kvs is under test: none is imported up here

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest
from support.explain import TRANSCRIPT
from support.served import Process, Serve, Served, start_process
from support.shared_server import SharedServer, Startable
from support.talk import Clients, Talk
from support.target import Target
from support.warm_start import WarmStart

if TYPE_CHECKING:
    from support.hosted import Hosted

    import kvs

Host: TypeAlias = "Callable[..., Hosted]"
Converse: TypeAlias = "Callable[[kvs.Engine], Talk]"

DIRECT = pytest.param("direct", marks=pytest.mark.task("3.2"))
"""Bytes go straight into a Connection: needs commands, and no server yet."""
WIRE = pytest.param("wire", marks=[pytest.mark.task("3.3"), pytest.mark.blackbox])
"""Bytes go over a socket to a server, which may be a program in any language."""
HOSTED = pytest.param("hosted", marks=pytest.mark.task("3.3"))
"""Bytes go over a socket to a server in this process, with an engine of the test's own."""


@pytest.fixture
def transcript(request: pytest.FixtureRequest) -> list[str]:
    """Return the lines that the report of a failure shows."""
    lines: list[str] = request.node.stash.setdefault(TRANSCRIPT, list[str]())
    return lines


@pytest.fixture(scope="session")
def shared_server(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedServer]:
    """Keep one server for all tests to which any will do: in this process, or with --cmd the program."""

    def start() -> Startable:
        if target.is_package:
            from support.hosted import Hosted

            import kvs

            return Hosted(kvs.MemoryEngine(), None, [])
        return Served(target.command, target.environment(), tmp_path_factory.mktemp("shared") / "store")

    shared = SharedServer(start)
    yield shared
    shared.end()


@pytest.fixture
def connect(shared_server: SharedServer, transcript: list[str]) -> Iterator[Clients]:
    """Return what connects clients to the shared server."""
    with Clients(shared_server.address, transcript) as clients:
        yield clients


@pytest.fixture
def serve(target: Target, warm_start: WarmStart | None, tmp_path: Path, transcript: list[str]) -> Iterator[Serve]:
    """Return what starts `kvs serve` under test; a package's by the warm start, a program as its user would."""

    def start(words: Sequence[str], environment: Mapping[str, str], directory: Path) -> Process:
        if warm_start is None:
            return start_process(words, environment, directory)
        return warm_start.start(words[len(target.command) :], cwd=directory, env=environment)

    starter = Serve(target.command, target.environment(), tmp_path, transcript, start)
    yield starter
    starter.end()


@pytest.fixture
def host(transcript: list[str]) -> Iterator[Host]:
    """Return what starts a server in this process, with an engine and a pool of the test's own; all end after it."""
    from support.hosted import Hosted

    hosted: list[Hosted] = []

    def start(engine: "kvs.Engine", pool: "kvs.ThreadPool | None" = None) -> Hosted:
        hosted.append(Hosted(engine, pool, transcript))
        return hosted[-1]

    yield start
    for each in hosted:
        each.end()


@pytest.fixture(params=[DIRECT, WIRE])
def talk(request: pytest.FixtureRequest, transcript: list[str]) -> Talk:
    """Return a conversation, of either kind, with an empty store or one that others use too."""
    if request.param == "direct":
        from support.hosted import converse

        import kvs

        return converse(kvs.MemoryEngine(), transcript)
    connect: Clients = request.getfixturevalue("connect")
    return connect()


@pytest.fixture(params=[DIRECT, HOSTED])
def talk_with(request: pytest.FixtureRequest, transcript: list[str]) -> Converse:
    """Return what begins a conversation about an engine of the test's own."""
    if request.param == "direct":
        from support.hosted import converse

        return lambda engine: converse(engine, transcript)
    host: Host = request.getfixturevalue("host")
    return lambda engine: host(engine).connect()
