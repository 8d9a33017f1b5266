"""kvs inspect: every byte of the log shown, every field named, and each record's state told; also of damaged files."""

import json
import os
import pty
import random
import re
import select
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from support.cli import Cli

from kvs.log.store import LogEngine

DEADLINE_S = 15
ROW = re.compile(r"^(\d{10})  (.{10})  ((?:[0-9a-f]{2} ?)+)")


def make_store(cli: Cli) -> Path:
    """Make a store with a live, a replaced and a removed value, and return its directory."""
    directory = cli.directory / "kvs-data"
    with LogEngine.open(directory) as store:
        store.set(b"snowman", "☃".encode())
        store.set(b"k", b"old")
        store.set(b"k", b"new")
        store.set(b"gone", b"x" * 500)
        store.remove(b"gone")
        store.write([(b"batch1", b"1"), (b"batch2", b"2")])
    return directory


def pieces(cli: Cli, *words: str) -> list[dict[str, Any]]:
    """Return what `inspect --json` says."""
    return [json.loads(line) for line in cli("inspect", "--json", *words).expect(stderr=b"").stdout.splitlines()]


def states(found: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return the key and state of each record, and the kind and state of other pieces that have a state."""
    return [(piece.get("key", piece["kind"]), piece["state"]) for piece in found if piece["state"]]


def text_of(piece: dict[str, Any], name: str) -> bytes:
    """Return the key or the value of a piece."""
    return piece[name].encode() if name in piece else bytes.fromhex(piece[f"{name}_hex"])


def test_records_and_their_states(cli: Cli) -> None:
    """Each record is told with its state: replaced and removed values are dead, tombstones too."""
    make_store(cli)
    assert states(pieces(cli)) == [
        ("snowman", "live"),
        ("k", "dead"),
        ("k", "live"),
        ("gone", "dead"),
        ("gone", "dead"),
        ("batch1", "live"),
        ("batch2", "live"),
    ]


def test_states_agree_with_stats(cli: Cli, rng: random.Random) -> None:
    """Over several segments, merged ones among them, live and dead sizes sum up to what `stats` counts."""
    options = {"segment_bytes": 2_000, "compact_dead_bytes": 3_000, "compact_dead_ratio": 0.4}
    with LogEngine.open(cli.directory / "kvs-data", **options) as store:
        for _ in range(600):
            key = b"k%d" % rng.randrange(40)
            if rng.random() < 0.2 and key in store:
                store.remove(key)
            else:
                store.set(key, rng.randbytes(rng.randrange(60)))
        wanted = dict(store)
        assert store.stats().merges > 0
    found = pieces(cli)
    assert len({piece["file"] for piece in found}) > 2
    figures = json.loads(cli("stats", "--json").stdout)
    sizes = {state: sum(p["size_bytes"] for p in found if p["state"] == state) for state in ("live", "dead")}
    assert sizes == {"live": figures["live_bytes"], "dead": figures["dead_bytes"]}
    live = {text_of(piece, "key"): text_of(piece, "value") for piece in found if piece["state"] == "live"}
    assert live == wanted
    one_file = found[0]["file"]
    assert pieces(cli, one_file) == [p for p in found if p["file"] == one_file], "one file alone is judged by all"


def test_a_file_that_a_merge_replaced_counts_for_nothing(cli: Cli) -> None:
    """A file that a crash in a compaction left behind is dead, also where the tombstone of its key is gone already."""
    with LogEngine.open(cli.directory / "kvs-data", segment_bytes=300) as store:
        store.set(b"gone", b"x" * 200)
        first = cli.directory / "kvs-data" / "0000000001.data"
        store.set(b"kept", b"y" * 200)
        store.remove(b"gone")
        store.set(b"last", b"z" * 200)
        left_behind = first.read_bytes()
        store.compact()
        assert not first.exists()
    first.write_bytes(left_behind)
    assert [state for key, state in states(pieces(cli)) if key == "gone"] == ["dead"]
    assert {key for key, state in states(pieces(cli)) if state == "live"} == {"kept", "last"}


def test_every_byte_is_shown_under_a_name(cli: Cli) -> None:
    """With --full the hexdump holds every byte of the file, in order, and each run of bytes has its field's name."""
    directory = make_store(cli)
    data = (directory / "0000000001.data").read_bytes()
    shown, names = b"", set()
    name = ""
    for line in cli("inspect", "--full").expect(stderr=b"").stdout.decode().splitlines():
        row = ROW.match(line)
        if row:
            assert int(row[1]) == len(shown)
            name = row[2].strip() or name
            assert name
            names.add(name)
            shown += bytes.fromhex(row[3])
    assert shown == data
    assert names >= {"magic", "salt", "kind", "flags", "key size", "value size", "sequence", "watermark", "checksum"}
    assert names >= {"key", "value"}


def test_long_values_are_elided(cli: Cli) -> None:
    """Without --full the middle of a long value is left out, and said to be."""
    make_store(cli)
    shown = cli("inspect").expect(stderr=b"").stdout.decode()
    assert len(shown.splitlines()) < 110
    assert "bytes (--full) …" in shown


@pytest.mark.parametrize("columns", [60, 80])
def test_lines_fit_the_terminal(cli: Cli, columns: int) -> None:
    """The dump is readable in a terminal of 80 columns, and of 60."""
    make_store(cli)
    lines = cli("inspect", "--full", env={"COLUMNS": str(columns)}).stdout.decode().splitlines()
    assert max(map(len, lines)) <= columns


def test_brief_is_one_line_a_record(cli: Cli) -> None:
    """--brief prints one line a piece: offset, kind, state, number, key and value."""
    make_store(cli)
    lines = cli("inspect", "--brief").expect(stderr=b"").stdout.decode().splitlines()
    assert lines[0].startswith("./kvs-data/0000000001.data")
    assert lines[2] == "0000000032  value      live  #1       snowman = ☃"
    assert len(lines) == 1 + 1 + 7 + 1, "the file's name, its header, seven records, a seal"


def test_damaged_bytes_are_bad_and_the_rest_is_read(cli: Cli) -> None:
    """A flipped bit makes one record bad; what stands behind it is still shown, and so is what it hides."""
    file = make_store(cli) / "0000000001.data"
    data = bytearray(file.read_bytes())
    data[data.index(b"new")] ^= 1
    file.write_bytes(data)
    found = pieces(cli)
    assert states(found)[:4] == [("snowman", "live"), ("k", "live"), ("bad", "bad"), ("gone", "dead")]
    assert found[3]["expected"]
    assert sum(piece["size_bytes"] for piece in found) == len(data)
    assert "bad" in cli("inspect").expect(stderr=b"").stdout.decode()


@pytest.mark.parametrize("cut", [1, 30, 55])
def test_a_torn_tail_is_torn(cli: Cli, cut: int) -> None:
    """What a crash left unfinished is torn, a batch without its end as a whole; what stands before it counts."""
    file = make_store(cli) / "0000000001.data"
    data = file.read_bytes()
    seal_bytes = 24
    file.write_bytes(data[: len(data) - seal_bytes - cut])
    found = states(pieces(cli))
    assert found[:5] == [("snowman", "live"), ("k", "dead"), ("k", "live"), ("gone", "dead"), ("gone", "dead")]
    assert {state for _, state in found[5:]} <= {"torn"}
    with LogEngine.open(file.parent) as store:
        assert set(store) == {b"snowman", b"k"}, "recovery thinks so, too"


@pytest.mark.parametrize(
    "content", [b"", b"x", b"\0" * 5_000, b"no store at all\n" * 50, bytes(range(256)) * 20], ids=len
)
def test_any_file_can_be_inspected(cli: Cli, content: bytes) -> None:
    """A file of any content is shown without an error."""
    (cli.directory / "any.bin").write_bytes(content)
    outcome = cli("inspect", "any.bin", "--full").expect(stderr=b"")
    shown = b"".join(bytes.fromhex(row[3]) for row in map(ROW.match, outcome.stdout.decode().splitlines()) if row)
    assert shown == content


def test_a_store_in_use_can_be_inspected(cli: Cli) -> None:
    """A store that somebody writes to is shown as it is at that moment, with the room allocated ahead."""
    with LogEngine.open(cli.directory / "kvs-data") as store:
        store[b"k"] = b"v"
        found = pieces(cli)
    assert [piece["kind"] for piece in found] == ["header", "value", "room"]


def test_what_cannot_be_read_is_one_line(cli: Cli) -> None:
    """A file that is not there, or a directory without data files: one line, exit 1."""
    (cli.directory / "empty").mkdir()
    for words in (["missing.data"], ["empty"], ["--dir", "empty"], ["--dir", "missing"]):
        outcome = cli("inspect", *words).expect(stdout=b"", exit_code=1)
        assert outcome.stderr.startswith(b"kvs: ")
        assert outcome.stderr.count(b"\n") == 1


def on_a_terminal(cli: Cli, **environment: str) -> bytes:
    """Return what `inspect` draws on a terminal."""
    controller, terminal = pty.openpty()
    base = {name: value for name, value in cli._environment.items() if name != "NO_COLOR"} | {"TERM": "xterm-256color"}
    child = subprocess.Popen([*cli._command, "inspect"], cwd=cli.directory, env=base | environment, stdout=terminal)
    os.close(terminal)
    drawn = b""
    deadline = time.monotonic() + DEADLINE_S
    while select.select([controller], [], [], max(0, deadline - time.monotonic()))[0]:
        try:
            drawn += os.read(controller, 4096)
        except OSError:  # the other side is closed
            break
    assert child.wait(DEADLINE_S) == 0
    os.close(controller)
    return drawn


def test_colours_are_for_terminals(cli: Cli) -> None:
    """On a terminal fields have colours; with NO_COLOR, and in a pipe, there are none, and the same words are there."""
    make_store(cli)
    plain = cli("inspect").stdout
    assert b"\x1b[" not in plain
    coloured = on_a_terminal(cli)
    assert len(set(re.findall(rb"\x1b\[[0-9;]+m", coloured))) > 5
    words = re.sub(rb"\x1b\[[0-9;]*m", b"", coloured).split()
    assert words == plain.split()
    assert not re.search(rb"\x1b\[[0-9;]*3[0-9]", on_a_terminal(cli, NO_COLOR="1"))
