"""The tour: its scenes are found, what they claim is checked, and whatever ends it, it leaves nothing behind.

The scenes of the server are played in a tree of their own, on a store of a few names: there the scenes of the log are
replaced by one that makes such a store.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest
from support.target import ROOT
from support.terminal import Terminal

DEADLINE_S: Final = 50
FOREIGN: Final = ("KVS_", "COV_", "PYTHONDONTWRITEBYTECODE", "NO_COLOR", "FORCE_COLOR", "COLUMNS")
"""How the variables begin that a tour under test does not get from us."""
PROLOGUE: Final = '''
"""A store of a few names."""

from itertools import islice

from kvs.log.store import LogEngine
from kvs.tour.names import character_names


def prologue(stage):
    """Store the first thousand names, and one more."""
    with LogEngine.open(stage.store) as store:
        store.write((name.encode(), character.encode()) for name, character in islice(character_names(), 1000))
        store.set(b"SNOWMAN", "☃".encode())


ACT = 2
SCENES = (prologue,)
WHERE_NEXT = ()
'''
KEYS: Final = 1001


@pytest.fixture(scope="module")
def short_tour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tree whose tour is the scenes of the server, on a store of a few names."""
    tree = tmp_path_factory.mktemp("short-tour")
    shutil.copytree(ROOT / "kvs", tree / "kvs", ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "kvs/tour/log_scenes.py").write_text(PROLOGUE)
    return tree


@contextmanager
def nothing_after(session: int) -> Iterator[None]:
    """Kill whatever of a session is left after the block: a tour that fails its test is not to outlive it."""
    try:
        yield
    finally:
        with suppress(ProcessLookupError):
            os.killpg(session, signal.SIGKILL)


class Place:
    """Where a tour is played: its tree, its variables, and the directory that has to be empty afterwards."""

    def __init__(self, tree: Path, directory: Path) -> None:
        self.files = directory / "files"
        self.files.mkdir()
        self.programs = directory / "programs"
        self.programs.mkdir()
        ours = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        self.environment = ours | {"PYTHONPATH": str(tree), "TMPDIR": str(self.files), "TERM": "xterm"}
        self.environment["PYTHONSAFEPATH"] = "1"  # the package of that tree, wherever we stand
        self.words = [sys.executable, "-m", "kvs", "tour"]

    def play(self, environment: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
        """Play it to its end, with no terminal about; afterwards, none of its processes is there, and no file."""
        child = subprocess.Popen(
            self.words,
            env=self.environment | dict(environment or {}),
            cwd=self.files.parent,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            text=True,
        )
        with nothing_after(child.pid):
            said, complaints = child.communicate(timeout=DEADLINE_S)
            self.expect_nothing_left(child.pid)
        return subprocess.CompletedProcess(self.words, child.returncode, said, complaints)

    def put_program(self, name: str, script: str) -> None:
        """Put a program where the tour finds it before any other of its name."""
        program = self.programs / name
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
        self.environment["PATH"] = f"{self.programs}:{os.environ['PATH']}"

    def expect_nothing_left(self, session: int) -> None:
        """See that no process of that session is left, and no file."""
        with pytest.raises(ProcessLookupError):
            os.killpg(session, 0)
        assert list(self.files.iterdir()) == []


@pytest.fixture
def place(short_tour: Path, tmp_path: Path) -> Place:
    """Return a place for the short tour."""
    return Place(short_tour, tmp_path)


@pytest.fixture(scope="module")
def played(short_tour: Path, tmp_path_factory: pytest.TempPathFactory) -> "subprocess.CompletedProcess[str]":
    """Return the short tour as it goes when nothing is special."""
    return Place(short_tour, tmp_path_factory.mktemp("played")).play()


def expect_played(done: "subprocess.CompletedProcess[str]") -> None:
    """See that a tour came to its end, and that all of it was true."""
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    for fact in (
        f"✓ KvsClient fetches all {KEYS:,} pairs in",
        f"✓ the {KEYS:,} keys have their new values",
        f"✓ {KEYS + 200:,} keys are in it, those writes among them",
        "Where to go next",
    ):
        assert fact in done.stdout
    assert re.search(r"✓ the server ended by itself, in \d+\.\d seconds, with exit status 0", done.stdout)
    assert re.search(r"✓ INFO tells of [1-9][\d,]* dead bytes", done.stdout)
    assert re.search(r"✓ none are dead now, and [1-9][\d,]* reads were answered", done.stdout)


def test_the_scenes_of_the_server_come_true(played: "subprocess.CompletedProcess[str]") -> None:
    """The server scenes end with status 0, leave no process and no file, and are plain text of at most 80 columns."""
    expect_played(played)
    assert "\x1b" not in played.stdout
    assert max(map(len, played.stdout.splitlines())) <= 80


@pytest.mark.skipif(shutil.which("redis-cli") is None, reason="redis-cli is not installed")
def test_redis_cli_asks_the_tours_server(played: "subprocess.CompletedProcess[str]") -> None:
    """Where redis-cli is installed, the tour has it ask the server, and checks its answers."""
    assert "✓ redis-cli finds SNOWMAN" in played.stdout
    assert f"✓ and {KEYS:,} keys, as many as are stored" in played.stdout


def test_without_redis_cli_it_is_said_and_left_out(place: Place) -> None:
    """Where there is no redis-cli, the tour says so and asks with its own client alone."""
    done = place.play({"PATH": str(place.programs)})
    expect_played(done)
    assert "redis-cli, Redis's own client, is not installed here" in done.stdout
    assert "$ redis-cli" not in done.stdout


def test_settings_of_the_user_do_not_change_the_tour(place: Place) -> None:
    """Variables that tell kvs or redis-cli what to do are not for the tour's processes; its own directory is."""
    settings = {
        "KVS_ADDR": "127.0.0.1:1",
        "KVS_DIR": str(place.files / "of-the-user"),
        "KVS_PASSWORD": "secret",
        "KVS_ENGINE": "memory",
        "KVS_LOG_FORMAT": "json",
        "REDISCLI_AUTH": "secret",
        "NOTIFY_SOCKET": str(place.files / "notify"),
    }
    expect_played(place.play(settings))


def test_a_claim_that_is_not_true_ends_the_tour(place: Place) -> None:
    """When a client is answered wrongly, the tour says what is untrue, ends with 1, and takes the server with it."""
    place.put_program("redis-cli", "echo '☂'")
    done = place.play()
    assert done.returncode == 1
    assert "✗ redis-cli finds SNOWMAN" in done.stdout
    assert done.stderr == "kvs: the tour found this to be untrue: redis-cli finds SNOWMAN\n"


def test_a_server_that_does_not_listen_is_told_of(place: Place) -> None:
    """When the server ends instead of listening, the tour says what the server said, and ends with 1."""
    tree = place.files.parent / "tree"
    shutil.copytree(place.environment["PYTHONPATH"], tree, ignore=shutil.ignore_patterns("__pycache__"))
    with (tree / "kvs/net/listener.py").open("a") as file:
        file.write("raise OSError(98, 'Address already in use')\n")
    done = place.play({"PYTHONPATH": str(tree)})
    assert done.returncode == 1
    assert "without listening" in done.stderr
    assert "Address already in use" in done.stderr


@contextmanager
def waiting_for_redis_cli(place: Place) -> Iterator[tuple[Terminal, int]]:
    """Play at a terminal until the tour waits for a redis-cli that never answers; return that, and the tour's pid."""
    place.put_program("redis-cli", "exec sleep 60")
    with Terminal(place.words, place.environment) as terminal, nothing_after(terminal._process.pid):
        terminal.wait_for(r"Listening on 127\.0\.0\.1:\d+")
        terminal.wait_for("--raw get SNOWMAN")
        yield terminal, terminal._process.pid


def test_control_c_leaves_nothing(place: Place) -> None:
    """Ctrl-C while the server runs ends the tour with 130; no process of it is left, and no file."""
    with waiting_for_redis_cli(place) as (terminal, pid):
        os.killpg(pid, signal.SIGINT)  # what a terminal makes of the key
        assert terminal.wait() == 130
        place.expect_nothing_left(pid)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_signal_to_the_tour_alone_leaves_nothing(place: Place, number: signal.Signals) -> None:
    """Told to end by a signal that its server does not get, the tour ends the server, too, and removes its files."""
    with waiting_for_redis_cli(place) as (terminal, pid):
        os.kill(pid, number)
        assert terminal.wait() == 128 + number
        place.expect_nothing_left(pid)


def test_under_nohup_the_server_is_sent_another_signal(place: Place) -> None:
    """Where hang-ups are ignored, the server would not hear SIGHUP: it is sent SIGUSR1, and compacts as well."""
    place.words = ["nohup", *place.words]
    done = place.play()
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kill -USR1 process" in done.stdout
    assert re.search(r"✓ none are dead now", done.stdout)


@pytest.mark.parametrize(("stages", "acts"), [(2, ["log_scenes"]), (3, ["log_scenes", "server_scenes"])])
def test_a_tree_plays_the_scenes_that_it_has(tmp_path: Path, stages: int, acts: list[str]) -> None:
    """With the files of the first stages alone, the tour has their scenes, in the stages' order."""
    course = tomllib.loads((ROOT / "stages/course.toml").read_text())
    for module in (module for stage in course["stage"][:stages] for module in stage["modules"]):
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / module, tmp_path / module)
    program = "from kvs.tour.play import find_acts; print(*(act.__name__ for act in find_acts()))"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=environment, capture_output=True, timeout=30, check=True
    )
    assert done.stdout.decode().split() == [f"kvs.tour.{act}" for act in acts]
