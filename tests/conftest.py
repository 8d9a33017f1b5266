"""The suites' common ground: which package is tested, how a run is seeded, when it must end, what a failure says.

pytest tests/stage1                    the reference
pytest tests/stage1 --impl ~/mine      the package kvs in ~/mine
pytest tests/stage1 --cmd ./my-kvs     a program in any language, by the tests marked blackbox
"""

import dataclasses
import os
import platform
import random
import shutil
import sys
import tempfile
import threading
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Final

import pytest

pytest.register_assert_rewrite("support")

from support import gate  # noqa: E402  # the line above has to come first
from support.cli import Cli  # noqa: E402
from support.explain import TRANSCRIPT, explain  # noqa: E402
from support.served import Serve  # noqa: E402
from support.target import ROOT, Target, check_identity, command_called, package_in  # noqa: E402
from support.warm_start import WarmStart  # noqa: E402

TARGET: Final = pytest.StashKey[Target]()
EXIT_STATUS: Final = pytest.StashKey[int]()
STAGE_TEST_DEADLINE_S: Final = 30
LEFT_BEHIND_S: Final = 2.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the suites' options."""
    group = parser.getgroup("kvs")
    group.addoption("--impl", metavar="DIR", help="test the package kvs in DIR (or set KVS_IMPL), not the reference")
    group.addoption("--cmd", metavar="COMMAND", help="test a program in any language, by the blackbox tests alone")
    group.addoption("--no-gate", action="store_true", help="with --impl: do not ask for the stage before")
    group.addoption("--seed", type=int, default=1, metavar="N", help="seed of every random choice (1)")


def pytest_configure(config: pytest.Config) -> None:
    """Settle what is under test before anything is collected."""
    given = config.getoption("impl") or os.environ.get("KVS_IMPL")
    command = config.getoption("cmd")
    if command and config.getoption("impl"):
        raise pytest.UsageError("--impl tests a package and --cmd a program: give one of them")
    if config.inipath is None or config.inipath.resolve() != ROOT / "pyproject.toml":
        raise pytest.UsageError(f"pytest took its settings from {config.inipath}: add -c {ROOT / 'pyproject.toml'}")
    start = config.invocation_params.dir
    package = package_in(ROOT if command or not given else start / Path(given).expanduser())
    config.stash[TARGET] = command_called(command, start) if command else package
    if os.environ.get("PYTHONDONTWRITEBYTECODE"):  # a hundred children would compile every module anew
        bytecode = tempfile.mkdtemp(prefix="kvs-test-bytecode-")
        config.add_cleanup(lambda: shutil.rmtree(bytecode, ignore_errors=True))
        config.stash[TARGET] = dataclasses.replace(config.stash[TARGET], bytecode=bytecode)


def pytest_report_header(config: pytest.Config) -> list[str]:
    """Name what is under test, the Python that runs it, and the seed."""
    python = f"{platform.python_implementation()} {platform.python_version()} ({sys.executable})"
    return [config.stash[TARGET].describe(), f"python: {python}, seed: {config.getoption('seed')}"]


def pytest_collectstart(collector: pytest.Collector) -> None:
    """Refuse to test the reference's own rooms when something else is under test."""
    tests = ROOT / "tests"
    inside = collector.path != tests and collector.path.is_relative_to(tests)
    if inside and gate.stage_of(collector.path) is None and not collector.config.stash[TARGET].is_reference:
        room = os.path.relpath(collector.path)
        raise pytest.UsageError(f"{room} tests the reference alone: name the suites, as in tests/stage1")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give each test of a stage its deadline; with --cmd keep the blackbox tests alone."""
    for item in items:
        if gate.stage_of(item.path) is not None and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(STAGE_TEST_DEADLINE_S))
    if not config.stash[TARGET].is_package:
        others = [item for item in items if item.get_closest_marker("blackbox") is None]
        items[:] = [item for item in items if item not in others]
        config.hook.pytest_deselected(items=others)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Stop before the first test where another package would be tested, or the gate is closed."""
    config = session.config
    target = config.stash[TARGET]
    if not target.is_package:
        return
    check_identity(target.directory)
    if target.is_reference or config.option.collectonly or config.getoption("no_gate"):
        return
    _pass_gate(session, target)


def _pass_gate(session: pytest.Session, target: Target) -> None:
    """Stop the run when a stage before those selected is not passed by the same tree."""
    config = session.config
    selected = {stage for item in session.items if (stage := gate.stage_of(item.path)) is not None}
    whole = set() if config.option.keyword or config.option.markexpr else _whole_stages(config)
    for stage in gate.stages_to_prove(selected, whole):
        findings = gate.prove(stage, target, config.getoption("seed"))
        if findings is not None:
            pytest.exit(gate.closed_message(stage, findings, target), returncode=pytest.ExitCode.TESTS_FAILED)


def _whole_stages(config: pytest.Config) -> set[int]:
    """Return the stages whose folders were named on the command line, or whose parents were."""
    named = [config.invocation_params.dir / argument for argument in config.args]
    folders = (ROOT / "tests").glob("stage*")
    return {
        stage
        for folder in folders
        if (stage := gate.stage_of(folder)) is not None
        and any(folder.is_relative_to(Path(os.path.normpath(name))) for name in named)
    }


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Let a failure explain itself."""
    report = yield
    if report.failed:
        text = explain(item, item.config.stash[TARGET], item.config.getoption("seed"))
        report.sections.append(("what this test is about", text))
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep the verdict for the very end."""
    session.config.stash[EXIT_STATUS] = int(exitstatus)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the process even where a deadlocked test left threads that never will."""
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join(LEFT_BEHIND_S)
    left = _running_threads()
    if left:
        sys.stdout.write(f"threads still running at the end: {', '.join(left)}\n")
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(config.stash.get(EXIT_STATUS, 0) or 1)


def _running_threads() -> list[str]:
    """Return the names of threads that keep a process from ending.

    They are counted by their stacks: before CPython 3.13 a thread whose join was interrupted, as a deadline does it,
    is taken for stopped while it runs on, and has lost its name.
    """
    known = {thread.ident: thread for thread in threading.enumerate()}
    running = [(ident, known.get(ident)) for ident in sys._current_frames() if ident != threading.main_thread().ident]
    return [thread.name if thread else f"thread {ident}" for ident, thread in running if not (thread and thread.daemon)]


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Return the source of this test's random choices: the run's seed and the test's name decide them all."""
    return random.Random(f"{request.config.getoption('seed')}:{request.node.name}")


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest) -> Target:
    """Return what is under test."""
    return request.config.stash[TARGET]


@pytest.fixture(scope="session")
def warm_start(request: pytest.FixtureRequest) -> Iterator[WarmStart | None]:
    """Keep a process from which commands start faster, for a package; a program is started as its user would."""
    target = request.config.stash[TARGET]
    if not target.is_package:
        yield None
        return
    warm = WarmStart(target.environment())
    yield warm
    warm.close()


@pytest.fixture
def cli(request: pytest.FixtureRequest, target: Target, warm_start: WarmStart | None, tmp_path: Path) -> Cli:
    """Return the command line under test, in an empty directory."""
    directory = tmp_path / "cli"
    directory.mkdir()
    transcript = request.node.stash.setdefault(TRANSCRIPT, list[str]())
    return Cli(target.command, target.environment(), directory, transcript, warm_start)


@pytest.fixture
def serve(request: pytest.FixtureRequest, target: Target, tmp_path: Path) -> Iterator[Serve]:
    """Return what starts `kvs serve` under test, on a port of the system's choice; all are ended after the test."""
    transcript = request.node.stash.setdefault(TRANSCRIPT, list[str]())
    starter = Serve(target.command, target.environment(), tmp_path, transcript)
    yield starter
    starter.end()


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Path]:
    """Return an empty directory for thousands of short-lived stores: in memory where there is such a place.

    A file system in memory is one like any other, but for the time that an fsync takes.
    """
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory, prefix="kvs-test-") as directory:
        yield Path(directory)
