"""kvs bench: its figures are what they say, compared within a round; its tables fit; it leaves nothing behind."""

import json
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import kvs
from kvs.bench import report
from kvs.bench.attempts import beside_peers
from kvs.bench.chosen import numbers, stores, workloads
from kvs.bench.contenders import Contender, KvsLockFree, KvsLog, our_engines
from kvs.bench.crowd import read_beside, seconds_of, shares, timed
from kvs.bench.goal import EXTRAS, GOALS, Goal
from kvs.bench.histogram import Histogram, bucket_of, top_of
from kvs.bench.rounds import order, summary
from kvs.bench.rust import Data
from kvs.bench.siege import Scene, lay
from kvs.bench.turn import WORKLOADS, Measure, Turn
from kvs.bench.workloads import Workload
from kvs.engine import MAX_KEY_BYTES

SMALL = ("--keys", "300", "--rounds", "1")


def bench(tmp_path: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run `kvs bench` to its end, with its temporary files in `tmp_path`."""
    variables = os.environ | {"TMPDIR": str(tmp_path), "COLUMNS": "80", "PYTHONUTF8": "1"}
    line = [sys.executable, "-m", "kvs", "bench", *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, env=variables, check=False)


def figures_of(done: "subprocess.CompletedProcess[str]") -> Any:
    """Return what a bench that succeeded printed as JSON."""
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


# The histogram.


def test_every_duration_is_within_its_bucket() -> None:
    """A bucket's top is no less than what belongs to it, at most a thirty-second part more, and ends the bucket."""
    rng = random.Random(1)
    for bits in range(45):
        for duration in {2**bits - 1, 2**bits, 2**bits + 1, rng.getrandbits(bits + 1)}:
            top = top_of(bucket_of(duration))
            assert duration <= top <= duration * 33 / 32
            assert bucket_of(top) == bucket_of(duration)
            assert bucket_of(top + 1) == bucket_of(duration) + 1


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99, 0.999, 1.0])
def test_percentiles_are_those_of_the_sorted_durations(share: float) -> None:
    """A percentile is at most a thirty-second part above the one found by sorting, and never below."""
    rng = random.Random(2)
    durations = sorted(int(rng.lognormvariate(8, 2)) for _ in range(5_000))
    exact = durations[max(0, -(-int(share * 5_000 * 1_000) // 1_000) - 1)]
    assert exact <= Histogram.of(durations).percentile(share) <= exact * 33 / 32
    assert Histogram.of(durations).longest_ns == durations[-1]


def test_merged_histograms_count_as_one() -> None:
    """What threads counted apart reads as if one had counted it."""
    durations = [number * number for number in range(1_000)]
    merged = Histogram.of(durations[::2])
    merged.merge(Histogram.of(durations[1::2]))
    whole = Histogram.of(durations)
    assert [merged.percentile(part / 10) for part in range(11)] == [whole.percentile(part / 10) for part in range(11)]
    assert (merged.count, merged.longest_ns) == (whole.count, whole.longest_ns)


def test_nothing_counted_is_zero() -> None:
    """Where nothing was counted, every percentile is 0."""
    assert Histogram().percentile(0.99) == 0


# Rounds and ratios.


def test_each_round_begins_with_another() -> None:
    """In each round everybody has one turn, and another one begins."""
    turns = order(["a", "b", "c"], 4)
    rounds = [turns[start : start + 3] for start in range(0, 12, 3)]
    assert all(sorted(each) == ["a", "b", "c"] for each in rounds)
    assert [each[0] for each in rounds] == ["a", "b", "c", "a"]


def test_ratios_are_taken_within_a_round() -> None:
    """A ratio is the median of the rounds' ratios; the ratio of the medians would tell of the machine's moods."""
    base = [{"get": Measure(rate)} for rate in (10.0, 100.0, 1_000.0)]
    other = [{"get": Measure(rate)} for rate in (20.0, 50.0, 3_000.0)]
    figures = summary({"base": base, "other": other}, "base")["other"]["get"]
    assert figures["ratio"] == 2.0  # of the medians it would be 0.5
    assert (figures["min"], figures["median"], figures["max"]) == (20.0, 50.0, 3_000.0)


def test_times_are_told_where_they_were_taken() -> None:
    """Percentiles stand in microseconds beside a rate that has them, and nowhere else."""
    rounds = [{"get": Measure(1.0, Histogram.of([2_000, 2_000, 9_000])), "scan": Measure(1.0)}]
    figures = summary({"base": rounds}, "base")["base"]
    assert figures["get"]["p50_us"] == pytest.approx(2.0, rel=1 / 32)
    assert figures["get"]["longest_us"] == 9.0
    assert "p50_us" not in figures["scan"]


# Threads.


def test_shares_are_all_items_once() -> None:
    """Threads share the items among them: each has about as many, none is left out, none is done twice."""
    for count in (1, 2, 3, 7, 20):
        parts = shares(range(20), count)
        assert sorted(item for part in parts for item in part) == list(range(20))
        assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_jobs_run_at_the_same_time() -> None:
    """Jobs that wait for each other end, since each has a thread of its own."""
    gate = threading.Barrier(4, timeout=30)
    seconds_of([gate.wait] * 4)


@pytest.mark.parametrize("count", [1, 3])
def test_a_job_that_fails_is_heard(count: int) -> None:
    """What a job raises is raised to who measures: a failed run is no figure."""
    with pytest.raises(ZeroDivisionError):
        seconds_of([lambda: 1 // 0] * count)


def test_threads_share_what_is_timed() -> None:
    """Each input is timed once, whatever the number of threads."""
    seen: list[int] = []
    times = timed(seen.append, [(number,) for number in range(100)], 3)
    assert sorted(seen) == list(range(100))
    assert times.count == 100


def test_a_pause_is_seen_beside_work() -> None:
    """A read that waits for the work beside it counts with all the time that it waited."""
    gate = threading.Lock()
    held = threading.Event()

    def work() -> None:
        with gate:
            held.set()
            time.sleep(0.05)  # this is the work

    def get(_key: bytes) -> None:
        assert held.wait(30)
        with gate:
            pass

    per_second, times = read_beside(get, [b"key"], work)
    assert times.longest_ns >= 45_000_000
    assert 0 < per_second < 10_000_000


# The turns.


@pytest.mark.parametrize("make", our_engines(), ids=lambda make: make.engine)
def test_every_workload_is_measured(make: type[Contender], tmp_path: Path) -> None:
    """Each engine goes through every workload; openings are measured where there is an index to be made anew."""
    found = Turn(make, Workload.make(200, 10, 1), str(tmp_path / "turn"), threads=2).run(WORKLOADS)
    assert set(WORKLOADS) - set(found) == (set() if make.has_hints else {"reopen", "reopen-bare"})  # type: ignore[attr-defined]
    assert all(each.per_second > 0 for each in found.values())
    with_times = {name for name, each in found.items() if each.times is not None}
    assert with_times == {"set", "get", "get-zipf", "mixed-95-5", "mixed-50-50", "get-compacting", "delete"}


def test_the_turn_leaves_what_the_workloads_say(tmp_path: Path) -> None:
    """Set stores every pair, delete removes every key: neither is fast because it does less."""
    workload = Workload.make(200, 10, 1)
    Turn(KvsLog, workload, str(tmp_path / "set")).run(["set"])
    with kvs.open(tmp_path / "set" / "store", flag="r") as store:
        assert dict(store) == dict(workload.pairs)
    Turn(KvsLog, workload, str(tmp_path / "gone"), threads=3).run(["set", "delete"])
    with kvs.open(tmp_path / "gone" / "store", flag="r") as store:
        assert len(store) == 0


def test_bare_openings_are_bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An opening without hint files finds none; one with them finds some."""
    seen: list[int] = []
    original = KvsLog.__init__

    def noted(self: KvsLog, directory: str) -> None:
        seen.append(len(list(Path(directory).glob("*.hint"))))
        original(self, directory)

    monkeypatch.setattr(KvsLog, "__init__", noted)
    Turn(KvsLog, Workload.make(20_000, 100, 1), str(tmp_path / "turn")).run(["reopen", "reopen-bare"])
    assert [bool(each) for each in seen] == [False, True, False], seen


def test_a_workload_is_made_from_its_seed() -> None:
    """The same seed makes the same run; another one another. Mixes hold the share of writes that they are named for."""
    assert Workload.make(100, 10, 1) == Workload.make(100, 10, 1)
    assert Workload.make(100, 10, 1) != Workload.make(100, 10, 2)
    workload = Workload.make(10_000, 1, 1)
    for ops, share in ((workload.mostly_reads, 0.05), (workload.half_reads, 0.50)):
        assert sum(value is not None for _, value in ops) / len(ops) == pytest.approx(share, abs=0.02)
    reads = [workload.zipf.count(key) for key in set(workload.zipf)]
    assert max(reads) > 200
    assert sorted(reads)[len(reads) // 2] < 10


def test_peers_do_what_we_do(tmp_path: Path) -> None:
    """Every store that is measured holds what was stored, scans it in order from a key on, and removes it."""
    pairs = Workload.make(100, 10, 1).pairs
    for make in stores("", None):
        store = make(str(tmp_path / make.label.replace(" ", "-")))
        store.set_each(pairs[:50])
        store.load(pairs[50:])
        store.get_each(key for key, _ in pairs)
        ordered = sorted(pairs)
        assert store.scan_from(ordered[10][0], 20) == ordered[10:30], make.label
        store.set_one(pairs[0][0], b"new")
        assert store.get_one(pairs[0][0]) == b"new"
        store.remove_each(key for key, _ in pairs[1:])
        assert store.scan_from(b"", 10) == [(pairs[0][0], b"new")], make.label
        store.close()


# The siege.


@pytest.mark.parametrize("engine", ["log", "rwlock", "lockfree"])
def test_a_siege_has_everybody_at_work(engine: str) -> None:
    """Readers, writer and compaction all get something done, and the time of each read is told."""
    scene = Scene(engine=engine, readers=2, has_writer=True, has_compaction=True, seconds=0.2)
    toll = lay(scene, 500, 10, seed=1)
    assert toll.reads > 0
    assert toll.writes > 0
    assert toll.compaction_s > 0
    assert toll.times.count > 0


def test_a_siege_of_readers_alone() -> None:
    """Where no writer and no compaction is asked for, there is none."""
    toll = lay(Scene(engine="lockfree", readers=1, seconds=0.05), 100, 10, seed=1)
    assert toll.reads > 0
    assert (toll.writes, toll.compaction_s) == (0.0, 0.0)


# The goals.


def test_verdicts_are_on_the_median() -> None:
    """A goal is met by the median of the rounds, at its bound too; which side is good depends on the goal."""
    least, most = Goal("rate", 2.0), Goal("cost", 2.0, is_most=True)
    for figures, at_least, at_most in (
        ([1.0, 2.0, 9.0], "pass", "pass"),
        ([0.1, 1.9, 9.0], "miss", "pass"),
        ([2.1], "pass", "miss"),
    ):
        assert least.verdict(figures, has_gil=True) == at_least
        assert most.verdict(figures, has_gil=True) == at_most
    assert least.verdict([], has_gil=True) == "-"


def test_a_goal_of_the_other_build_is_not_decided() -> None:
    """What is promised without a GIL is decided without one, and the other way round."""
    for needs, has_gil, verdict in (("GIL", True, "pass"), ("GIL", False, "-"), ("no GIL", True, "-")):
        assert Goal("name", 1.0, needs=needs).verdict([1.0], has_gil=has_gil) == verdict  # type: ignore[arg-type]


def test_every_goal_is_attempted(tmp_path: Path) -> None:
    """`kvs bench goals` measures each of its lines where the other stores are installed, in each round."""
    done = bench(tmp_path, "goals", "--rounds", "1", "--keys", "1000", "--many", "11000", "--seconds", "0.05", "--json")
    figures = figures_of(done)
    assert [row["name"] for row in figures["goals"]] == [goal.name for goal in GOALS]
    unmeasured = {row["name"] for row in figures["goals"] if row["median"] is None}
    peers = {"lmdb": "LMDB", "rocksdict": "RocksDB"}
    missing = [name for package, name in peers.items() if package not in figures["versions"]]
    assert all(any(peer in name for peer in missing) for name in unmeasured)
    assert list(figures["beside"]) == [name for name, _ in EXTRAS]
    assert os.listdir(tmp_path) == []


def test_the_import_stores_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Our engine alone is measured without the others: loads beside its own sets."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    found = beside_peers(Workload.make(100, 10, 1), [KvsLockFree])
    assert set(found) == {"update, beside own set", "import, beside own set"}


# The Rust course's workloads.


def test_rust_data_is_of_the_sizes_it_says() -> None:
    """rust-set has 100 pairs of up to 100,000 bytes, with keys as long as keys may be; rust-get reads 1,000 of them."""
    data = Data.make(1)
    keys = {key for key, _ in data.pairs}
    assert (len(keys), len(data.reads)) == (100, 1_000)
    assert max(map(len, keys)) == MAX_KEY_BYTES
    assert max(len(value) for _, value in data.pairs) > MAX_KEY_BYTES
    assert set(data.reads) <= keys


def test_rust_workloads_run_by_name(tmp_path: Path) -> None:
    """`kvs bench rust` measures rust-set, rust-get and rust-threads, for each pool, with 1 to 2 × cores threads."""
    figures = figures_of(bench(tmp_path, "rust", "--rounds", "1", "--clients", "4", "--json"))
    assert all({"rust-set", "rust-get"} == set(found) for found in figures["stores"].values())
    assert {tuple(found) for found in figures["servers"].values()} == {("rust-threads set", "rust-threads get")}
    cores = os.cpu_count() or 1
    for pool in ("shared-queue", "executor"):
        assert {f"lockfree {pool} 1", f"lockfree {pool} {2 * cores}"} <= set(figures["servers"])
    assert os.listdir(tmp_path) == []


# The command.


def test_the_table_fits_80_columns(tmp_path: Path) -> None:
    """On a terminal of 80 columns no line is longer, no cell is cut, and every workload and store has its row."""
    done = bench(tmp_path, *SMALL, "--growth-keys", "500")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert "…" not in done.stdout.replace("p50 … max", "")
    words = [line.split() for line in lines]
    for name in WORKLOADS:
        assert [name] in words
    for make in our_engines():
        assert any(line.strip().startswith(make.label) for line in lines)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("figure", [0.001, 9.999, 99.99, 999.9, 99_999.0, 12_345_678.0])
def test_wide_figures_fit(figure: float) -> None:
    """Whatever a machine measures, a row fits into 80 columns, uncut."""
    cell = {"median": figure, "min": figure / 3, "max": figure * 3, "ratio": 123.456}
    cell |= {f"{name}_us": figure for name in ("p50", "p99", "p999", "longest")}
    page = StringIO()
    report.show(Console(file=page, width=80), {"LMDB writemap": {"get-compacting": cell}}, "title")
    assert max(map(len, page.getvalue().splitlines())) <= 80
    assert "…" not in page.getvalue()


def test_json_has_every_case(tmp_path: Path) -> None:
    """Sizes, threads, workloads and stores are those asked for, the base first, which is compared with itself."""
    words = ("--value-bytes", "10,50", "--threads", "1,2", "--only", "get,set", "--stores", "log,lockfree")
    done = bench(tmp_path, *SMALL, *words, "--base", "log", "--growth-keys", "0", "--json")
    figures = figures_of(done)
    assert [(case["value_bytes"], case["threads"]) for case in figures["cases"]] == [
        (10, 1),
        (10, 2),
        (50, 1),
        (50, 2),
    ]
    for case in figures["cases"]:
        assert list(case["stores"]) == ["log", "lockfree"]
        assert {name for found in case["stores"].values() for name in found} == {"set", "get"}
        assert {each["ratio"] for each in case["stores"]["log"].values()} == {1.0}
    assert "growth" not in figures


@pytest.mark.parametrize(
    "words",
    [("--only", "gett"), ("--stores", "oracle"), ("--base", "oracle"), ("--threads", "0"), ("--value-bytes", "x")],
)
def test_what_there_is_not_is_refused(tmp_path: Path, words: tuple[str, str]) -> None:
    """An unknown workload or store, or no number, is refused in one line that names it, before anything is measured."""
    done = bench(tmp_path, *words)
    assert done.returncode == 1
    assert words[1] in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_choices_are_read() -> None:
    """Lists are read in their order, once each; an empty one stands for all."""
    assert numbers("4,1,4", least=1) == [4, 1]
    assert workloads("scan,get") == ["scan", "get"]
    assert workloads("") == list(WORKLOADS)
    labels: Iterable[str] = (make.label for make in stores("log,lockfree", "lockfree"))
    assert list(labels) == ["lockfree", "log"]


def test_locks_are_measured(tmp_path: Path) -> None:
    """`kvs bench locks` measures the three designs for each number of readers, beside the big lock, in 80 columns."""
    words = ("locks", "--readers", "1,2", "--keys", "300", "--seconds", "0.05", "--rounds", "1")
    rows = figures_of(bench(tmp_path, *words, "--json"))["rows"]
    assert [(row["readers"], row["design"]) for row in rows] == [
        (count, design) for count in (1, 2) for design in ("log", "rwlock", "lockfree")
    ]
    assert {row["reads_ratio"] for row in rows if row["design"] == "log"} == {1.0}
    assert all(row["reads"] > 0 and row["compaction_s"] > 0 for row in rows)
    done = bench(tmp_path, *words)
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert os.listdir(tmp_path) == []
