"""What tests of the server with real clients start from: a server that runs, with an empty store."""

from collections.abc import Iterator

import pytest
from support.clients import Kept
from support.explain import TRANSCRIPT
from support.served import Served
from support.target import Target


@pytest.fixture(scope="session")
def kept(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Keep a server of each design for all tests that take any server."""
    servers = Kept(target, tmp_path_factory.mktemp("kept"))
    yield servers
    servers.end()


@pytest.fixture
def server(request: pytest.FixtureRequest, kept: Kept) -> Iterator[Served]:
    """Return a server with an empty store: of the design that the test asks for, or the default one.

    What clients do is nothing that a server complains of: it may log no warning meanwhile, and no error.
    """
    served = kept.empty(getattr(request, "param", "auto"))
    before = len(served.stderr)
    yield served
    said = served.stderr[before:]
    request.node.stash.setdefault(TRANSCRIPT, list[str]()).append(said)
    assert "WARNING" not in said, said
    assert "ERROR" not in said, said
