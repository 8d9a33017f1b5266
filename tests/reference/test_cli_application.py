"""The command line's frame: how commands are found, and what becomes of errors, closed pipes and Ctrl-C."""

import os
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.cli import Cli
from support.target import ROOT, Target

from kvs.cli.directory import held_interrupts

DEADLINE_S = 15
LINUX_ONLY = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


def start(target: Target, *words: str, **settings: object) -> "subprocess.Popen[bytes]":
    """Start a command without waiting for it."""
    environment = target.environment()
    environment.pop("PYTHONUNBUFFERED", None)  # what is still in a buffer at the end is what can go wrong
    return subprocess.Popen([*target.command, *words], env=environment, stderr=subprocess.PIPE, **settings)


@pytest.fixture(autouse=True)
def heard_interrupts() -> Iterator[None]:
    """Let children hear Ctrl-C even where this run itself was started in the background, with SIGINT ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_kvs_alone_prints_help_to_stdout(cli: Cli) -> None:
    """`kvs` without a command prints its help to stdout and exits with 2."""
    found = cli().expect(stderr=b"", exit_code=2).stdout
    assert found.startswith(b"Usage: kvs")
    assert b"Commands:" in found


@pytest.mark.parametrize("flag", ["-V", "--version"])
def test_version_is_printed(cli: Cli, flag: str, target: Target) -> None:
    """`kvs -V` and `kvs --version` print the package's version."""
    cli(flag).expect(stdout=f"kvs {target.version}\n".encode(), stderr=b"")


def test_unknown_command_suggests_the_nearest(cli: Cli) -> None:
    """A mistyped command is usage, and the nearest name is suggested."""
    outcome = cli("sett", "a", "1")
    outcome.expect_usage()
    assert b"'set'" in outcome.stderr


@pytest.mark.parametrize("name", ["import_", "__init__", "..text", "verbs.get", "", "get.run", "GET"])
def test_names_of_files_are_no_commands(cli: Cli, name: str) -> None:
    """What is no command is refused as one, also when the name leads to a file of the package."""
    cli(name, "k").expect_usage()


@pytest.mark.parametrize("word", ["--bogus", "--bogus=1", "--director"])
def test_unknown_long_option_is_refused(cli: Cli, word: str) -> None:
    """A word that looks like a long option and is none is usage, wherever it stands, and nothing is done."""
    cli("get", word).expect_usage()
    cli("get", "k", word).expect_usage()
    cli(word, "get", "k").expect_usage()


def test_the_error_after_a_lone_double_dash_hint_is_right(cli: Cli) -> None:
    """The hint given with the refusal works: after a lone `--` anything is a key."""
    assert b"'--'" in cli("get", "--bogus").stderr
    cli("get", "--", "--bogus").expect(stdout=b"Key not found\n", stderr=b"")


def test_an_options_value_may_look_like_an_option(cli: Cli) -> None:
    """What follows an option that takes a value is that value, whatever it looks like."""
    cli("get", "k", "--dir", "--odd").expect(stdout=b"Key not found\n", stderr=b"")


def test_interrupts_are_held_until_a_write_is_done() -> None:
    """Ctrl-C in the middle of a write comes after it; where it was ignored, as in the background, it stays so."""
    done: list[str] = []

    def write() -> None:
        with held_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
            done.append("written")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done == ["written"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with held_interrupts():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_get_imports_only_what_it_uses(target: Target) -> None:
    """`kvs get` imports no rich, csv, json, tempfile, readline or metadata, and no other command."""
    program = (
        "import sys; sys.argv = ['kvs', 'get', 'k']\n"
        "from kvs.__main__ import main\n"
        "assert main() == 0\n"
        "heavy = {'rich', 'csv', 'json', 'tempfile', 'readline', 'importlib.metadata', 'asyncio', 'socket'}\n"
        "print(sorted(heavy & set(sys.modules)), [m for m in sorted(sys.modules) if m.startswith('kvs.cli.verbs.')])"
    )
    words = [sys.executable, "-c", program]
    environment = target.environment() | {"KVS_DIR": "/nonexistent"}
    done = subprocess.run(words, capture_output=True, timeout=DEADLINE_S, env=environment, check=True)
    assert done.stdout == b"Key not found\n[] ['kvs.cli.verbs.get']\n"


def test_a_tree_cut_to_stage_1_has_the_commands_of_stage_1(tmp_path: Path, target: Target) -> None:
    """With the files of stage 1 alone, set, get, rm and repl work, and the rest is not there."""
    course = tomllib.loads((ROOT / "stages/course.toml").read_text())
    for module in course["stage"][0]["modules"]:
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(target.directory / module, tmp_path / module)
    cut_target = Target(tmp_path, target.version, target.command, is_package=True)
    work = tmp_path / "work"
    work.mkdir()
    cut_cli = Cli(cut_target.command, cut_target.environment(), work, [])
    names = [line.split()[0] for line in cut_cli("--help").stdout.decode().partition("Commands:\n")[2].splitlines()]
    assert names == ["get", "repl", "rm", "set"]
    cut_cli("set", "a", "1").expect(stdout=b"", stderr=b"")
    cut_cli("get", "a").expect(stdout=b"Key not found\n", stderr=b"")
    cut_cli("repl", stdin=b"set a 1\nget a\nstats\n").expect(stderr=b"")
    cut_cli("scan").expect_usage()
    assert not any(work.iterdir()), "a store in memory leaves nothing on the disk"


def test_other_packages_bring_commands(tmp_path: Path, target: Target) -> None:
    """An entry point in the group kvs.commands is a command, listed in help; a file of the same name goes first."""
    (tmp_path / "greeter.py").write_text(
        "import typer\ndef hello(name: str):\n    '''Greet NAME.'''\n    print('hello', name)\n"
        "app = typer.Typer()\n"
        "@app.command()\ndef one(): print('one')\n"
        "@app.command()\ndef two(): print('two')\n"
    )
    metadata = tmp_path / "greeter-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: greeter\nVersion: 1\n")
    points = "[kvs.commands]\nhello = greeter:hello\ngreet = greeter:app\nget = greeter:hello\n"
    (metadata / "entry_points.txt").write_text(points)
    environment = target.environment()
    environment["PYTHONPATH"] += os.pathsep + str(tmp_path)
    extended = Cli(target.command, environment, tmp_path, [])
    assert b"Greet NAME." in extended("--help").stdout
    extended("hello", "snowman").expect(stdout=b"hello snowman\n")
    extended("greet", "two").expect(stdout=b"two\n")
    extended("get", "k").expect(stdout=b"Key not found\n")


@LINUX_ONLY
@pytest.mark.parametrize(
    "words", [["get", "k"], ["get", "k", "--check"], ["get", "--help"], ["--help"], ["--version"], []]
)
def test_full_stdout_is_one_line_and_exit_1(target: Target, tmp_path: Path, words: list[str]) -> None:
    """An answer that cannot be written is an error, said in one line."""
    with open("/dev/full", "wb") as full:
        child = start(target, *words, stdout=full, cwd=tmp_path)
        _, stderr = child.communicate(timeout=DEADLINE_S)
    assert (child.returncode, stderr) == (1, b"kvs: No space left on device\n")


def test_closed_stdout_is_one_line_and_exit_1(target: Target, tmp_path: Path) -> None:
    """A stdout that was closed by the shell is an error, said in one line."""
    words = ["sh", "-c", '"$@" >&-', "sh", *target.command, "get", "k"]
    done = subprocess.run(
        words, capture_output=True, timeout=DEADLINE_S, cwd=tmp_path, env=target.environment(), check=False
    )
    assert (done.returncode, done.stderr) == (1, b"kvs: stdout is closed\n")


def test_closed_pipe_is_a_quiet_end(target: Target, tmp_path: Path) -> None:
    """When whoever reads stdout stops reading, the command ends without a word."""
    child = start(target, "repl", stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdout.close()
    _, stderr = child.communicate(b"set k v\n" + b"get k\n" * 50_000, timeout=DEADLINE_S)
    assert (child.returncode, stderr) == (0, b"")


def test_ctrl_c_is_quiet_and_exits_with_130(target: Target, tmp_path: Path) -> None:
    """A script's session that is interrupted ends quietly with 130."""
    child = start(target, "repl", stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
    assert child.stdin is not None
    assert child.stdout is not None
    child.stdin.write(b"set k v\nget k\n")
    child.stdin.flush()
    assert child.stdout.readline() == b"v\n", "the session runs, and answers line by line"
    child.send_signal(signal.SIGINT)
    _, stderr = child.communicate(timeout=DEADLINE_S)
    assert (child.returncode, stderr) == (130, b"")


def test_errors_show_no_control_characters(cli: Cli) -> None:
    """An error message is one line, and cannot move the cursor, whatever the words in it hold."""
    outcome = cli("set", "k", "--file", "no\nsuch\x1b[2J\xe9")
    outcome.expect(stdout=b"", stderr="kvs: no\\nsuch\\x1b[2Jé: No such file or directory\n".encode(), exit_code=1)


@pytest.mark.parametrize(("name", "words"), [("kvs-client", ["get", "k"]), ("kvs-server", ["--help"])])
def test_names_of_the_rust_course_are_commands_too(tmp_path: Path, name: str, words: list[str]) -> None:
    """`kvs-client` is `kvs`, and `kvs-server` is `kvs serve`, whether or not this tree has the server."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, function = scripts[name].split(":")
    program = f"import sys; from {module} import {function}; sys.argv[0] = {name!r}; sys.exit({function}())"
    done = subprocess.run(
        [sys.executable, "-c", program, *words], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    if name == "kvs-client":
        assert (done.returncode, done.stdout) == (0, b"Key not found\n")
    else:
        assert b"serve" in done.stdout + done.stderr
        assert b"Traceback" not in done.stderr
