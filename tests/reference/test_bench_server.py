"""kvs bench server: it measures what it says, compares within a round, and leaves nothing behind, whatever ends it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from kvs.bench import server_generators, server_load, server_report, server_rounds
from kvs.bench.server_contenders import Contender, serving
from kvs.bench.server_generators import BenchError, run_own
from kvs.bench.server_load import Load, Rate, WrongReplyError
from kvs.bench.server_rounds import Plan, summary
from kvs.resp.decoder import CommandDecoder

DEADLINE_S = 30.0
SMALL = ("--rounds", "1", "--requests", "60", "--clients", "3", "--keys", "20", "--load", "own")
LOAD = Load(clients=3, requests=60, pipeline=4, value_bytes=10, keys=20)
KINDS = ["set 1", "get 1", "set 4", "get 4"]


def command(*words: str) -> list[str]:
    """Return the command line of a `kvs bench server`."""
    return [sys.executable, "-m", "kvs", "bench", "server", *words]


def bench(tmp_path: Path, *words: str, env: Mapping[str, str] | None = None) -> "subprocess.CompletedProcess[str]":
    """Run `kvs bench server` to its end, with its temporary files in `tmp_path`."""
    variables = os.environ | {"TMPDIR": str(tmp_path), "COLUMNS": "80"} | dict(env or {})
    return subprocess.run(command(*words), capture_output=True, text=True, timeout=60, env=variables, check=False)


def processes_in(directory: Path) -> list[str]:
    """Return the command lines of the processes that were started for something in a directory."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            words = Path("/proc", name, "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(directory) in words:
                found.append(words)
    return found


def until(fact: Any, what: str) -> None:
    """Wait until something is true that can only be looked at."""
    end = time.monotonic() + DEADLINE_S
    while not fact():
        assert time.monotonic() < end, what
        time.sleep(0.02)


def test_every_design_is_measured(tmp_path: Path) -> None:
    """Every design answers the load, each kind of command at each depth; the first is compared with itself."""
    designs = "loop,ready:shared-queue:2,jobs,asyncio,loop-at-once"
    done = bench(tmp_path, *SMALL, "--designs", designs, "--pipeline", "1,4", "--json")
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert list(figures["servers"]) == designs.split(",")
    assert figures["generator"] == "own"
    for found in figures["servers"].values():
        assert list(found) == KINDS
        for each in found.values():
            assert each["median"] > 0
            assert 0 < each["p50_ms"] <= each["p99_ms"]
    assert {each["ratio"] for each in figures["servers"]["loop"].values()} == {1.0}
    assert os.listdir(tmp_path) == []


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="there is no redis-server here")
@pytest.mark.parametrize("sync", ["none", "always"])
def test_beside_redis(tmp_path: Path, sync: str) -> None:
    """With a peer, a redis-server of its own is measured beside ours, and is gone afterwards."""
    done = bench(tmp_path, *SMALL, "--designs", "loop", "--pipeline", "1", "--peer", "redis", "--sync", sync, "--json")
    assert done.returncode == 0, done.stderr
    assert list(json.loads(done.stdout)["servers"]) == ["loop", "redis"]
    assert os.listdir(tmp_path) == []
    assert processes_in(tmp_path) == []


@pytest.mark.skipif(shutil.which("redis-benchmark") is None, reason="there is no redis-benchmark here")
def test_redis_benchmark_is_the_generator_where_it_is_installed(tmp_path: Path) -> None:
    """Unless told otherwise the load comes from redis-benchmark; the report names who it was."""
    done = bench(tmp_path, *SMALL[:-2], "--designs", "loop", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["generator"] == "redis-benchmark"
    assert list(json.loads(done.stdout)["servers"]["loop"]) == ["set 1", "get 1", "set 16", "get 16"]


def test_without_redis_benchmark_the_load_is_our_own(tmp_path: Path) -> None:
    """Where redis-benchmark is not on the path, our own generator asks, and the table says so."""
    done = bench(tmp_path, *SMALL[:-2], "--designs", "loop", env={"PATH": str(tmp_path)})
    assert done.returncode == 0, done.stderr
    assert "load by own" in " ".join(done.stdout.split())


def test_the_table_fits_a_terminal(tmp_path: Path) -> None:
    """The table is at most 80 columns wide; nothing but it is printed."""
    done = bench(tmp_path, *SMALL, "--designs", "loop,jobs:executor:10")
    assert done.returncode == 0
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--designs", "fast"], "no design is called 'fast'"),
        (["--designs", "loop:big"], "no pool is called 'big'"),
        (["--designs", "ready:executor:none"], "expected a number of threads"),
        (["--designs", "jobs:shared-queue:4"], "50 clients need 50 threads"),
        (["--pipeline", "1,x"], "expected numbers from 1 to 1000"),
        (["--pipeline", "0"], "expected numbers from 1 to 1000"),
        (["--engine", "tape"], "no engine is called 'tape'"),
        (["--engine", "memory", "--sync", "always"], "nothing to sync"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path: Path, words: list[str], complaint: str) -> None:
    """A wish that makes no sense is named in a line, before anything is started."""
    done = bench(tmp_path, *words)
    assert done.returncode == 1
    assert complaint in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert done.stdout == ""


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are looked for in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_nothing_is_left_running(tmp_path: Path, how: signal.Signals) -> None:
    """Ended in mid-measurement, by Ctrl-C or by force, it leaves neither a server nor a load behind."""
    designs = "redis" if shutil.which("redis-server") else "loop"
    words = command("--designs", designs, "--requests", "100000", "--load", "own", "--rounds", "50")
    variables = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(words, env=variables, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            until(lambda: processes_in(tmp_path), "no server was started")
            process.send_signal(how)
            status = process.wait(DEADLINE_S)
        finally:
            process.kill()
    assert status == (130 if how == signal.SIGINT else -how)
    until(lambda: not processes_in(tmp_path), "a server is still there")
    if how == signal.SIGINT:
        assert os.listdir(tmp_path) == []


@contextlib.contextmanager
def answering(reply: bytes) -> Iterator[str]:
    """Answer every command of a client or two with these bytes, while the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(DEADLINE_S)

        def answer(sock: socket.socket) -> None:
            decoder = CommandDecoder()
            with sock, contextlib.suppress(OSError):
                while data := sock.recv(1 << 16):
                    for _ in decoder.feed(data):
                        sock.sendall(reply)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threads.append(threading.Thread(target=answer, args=(listener.accept()[0],)))
                    threads[-1].start()

        threads = [threading.Thread(target=accept)]
        threads[0].start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(DEADLINE_S)


@pytest.mark.parametrize("reply", [b"-ERR no\r\n", b"+OKAY\r\n", b"+OK\r\n+OK\r\n", b"$1\r\nx\r\n"])
def test_a_server_that_answers_wrongly_is_no_fast_server(reply: bytes) -> None:
    """A wrong reply ends the measurement: else the fastest server were one that answers anything."""
    with answering(reply) as address, pytest.raises(WrongReplyError):
        server_load.put("127.0.0.1", int(address.rpartition(":")[2]), LOAD)


def test_an_error_reply_ends_the_measurement() -> None:
    """The error of a load, which runs in a process of its own, is told in one line that has what the server said."""
    with answering(b"-ERR no\r\n") as address, pytest.raises(BenchError, match="ERR no"):
        run_own(address, LOAD)


@pytest.mark.parametrize("said", ["", "ERR no\n", '"SET","1"\n', "Error from server: ERR no\n"])
def test_what_redis_benchmark_says_is_checked(said: str) -> None:
    """Anything but its table with both commands is an error, and no figure is made of it."""
    with pytest.raises(BenchError, match="redis-benchmark said"):
        server_generators._rates(said)


def test_a_store_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    """A child that does not start is an error with its reason, and not a wait."""
    with (
        pytest.raises(BenchError, match="nowhere does not start"),
        serving(Contender("nowhere", "loop", "no such pool", 1), "memory", None, str(tmp_path)),
    ):
        pass


def test_ratios_are_of_the_rounds() -> None:
    """A ratio is the median of the rounds' own ratios, not the ratio of medians: a round has one mood."""
    contenders = [Contender.parse(name, 1) for name in ("loop", "ready")]
    plan = Plan(contenders=contenders, loads=[LOAD], engine="memory", sync=None, rounds=3)
    rates = {"loop": [100.0, 200.0, 400.0], "ready": [90.0, 100.0, 800.0]}
    measured = {label: [{"set 1": Rate(each, 1.0, 2.0)} for each in found] for label, found in rates.items()}
    found = summary(plan, measured, "own")["servers"]["ready"]["set 1"]
    assert (found["ratio"], found["median"], found["min"], found["max"]) == (0.9, 100.0, 90.0, 800.0)


def test_another_one_begins_each_round() -> None:
    """Each has its turn in every round, and another one is first: what comes late shall not always be the same."""
    contenders = [Contender.parse(name, 1) for name in ("loop", "ready", "asyncio")]
    plan = Plan(contenders=contenders, loads=[LOAD], engine="memory", sync=None, rounds=4)
    turns = [each.label for each in server_rounds._order(plan)]
    rounds = [turns[at : at + 3] for at in range(0, len(turns), 3)]
    assert [each[0] for each in rounds] == ["loop", "ready", "asyncio", "loop"]
    assert all(sorted(each) == ["asyncio", "loop", "ready"] for each in rounds)


def test_markdown_has_every_figure() -> None:
    """In Markdown there is a row for each server, with the rate and the ratio of each kind of command."""
    plan = Plan(contenders=[Contender.parse("loop", 1)], loads=[LOAD], engine="log", sync="always", rounds=1)
    measured = {"loop": [{"set 1": Rate(1234.0, 1.0, 2.0), "get 16": Rate(99.0, 1.0, 2.0)}]}
    lines = server_report.as_markdown(summary(plan, measured, "own")).splitlines()
    assert "sync always" in lines[0]
    assert lines[1:] == [
        "",
        "| server | SET | GET, 16 deep |",
        "|---|---:|---:|",
        "| loop | 1,234 ×1.00 | 99 ×1.00 |",
    ]


def test_a_tree_cut_to_stage_2_still_has_kvs_bench(tmp_path: Path) -> None:
    """In a tree that ends with stage 2 there is `kvs bench`, and it does not name what that tree has not."""
    root = Path(__file__).parents[2]
    course = tomllib.loads((root / "stages" / "course.toml").read_text())
    for module in (module for stage in course["stage"][:2] for module in stage["modules"]):
        (tmp_path / module).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(root / module, tmp_path / module)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "kvs", "bench", "--help"],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "--growth-keys" in done.stdout
    assert "server" not in done.stdout
