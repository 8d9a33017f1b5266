"""Real processes on the real disk: killed, racing, forked, out of room and out of descriptors."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.crash.pieces import child
from support.crash.workload import MODES

from kvs.errors import WritesRefusedError
from kvs.log.store import LogEngine


def test_kills_lose_nothing_acknowledged(tmp_path: Path) -> None:
    """A writer is killed in mid-work forty times; each time its store opens by itself, with all it had acknowledged."""
    told = child("kills", tmp_path / "store", 7, 40)
    assert told["violations"] == []
    assert told["acknowledged"] > 400
    assert told["slowest_open_s"] < 1.0


@pytest.mark.parametrize("mode", MODES)
def test_recording_agrees_with_the_system(mode: str, tmp_path: Path) -> None:
    """The real disk makes the recorded calls in order, and a process that ends before one leaves the recorded files."""
    told = child("real", tmp_path, 2, mode)
    assert told["differences"] == []
    assert told["deaths"] == told["calls"] > 30


def test_one_of_two_racers_gets_the_directory(tmp_path: Path) -> None:
    """Two processes that open a directory at one moment: exactly one gets it, twenty times out of twenty."""
    assert child("limits", "race", tmp_path / "store", 20) == {"rounds": 20}


def test_out_of_descriptors_hurts_nothing(tmp_path: Path) -> None:
    """With no descriptor left writes raise; what was acknowledged is there, and opens where there are enough."""
    assert child("limits", "descriptors", tmp_path / "store")["acknowledged"] > 5


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, where this user may mount one."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "kvs-test", str(tmp_path)]
    if (
        sys.platform != "linux"
        or os.geteuid() != 0
        or subprocess.run(mount, check=False, capture_output=True).returncode
    ):
        pytest.skip("mounting a small file system is not allowed here")
    yield tmp_path
    subprocess.run(["umount", str(tmp_path)], check=True, timeout=30)


def test_full_disk_hurts_nothing(small_disk: Path) -> None:
    """On a full disk writes raise; what was acknowledged is there, and with room again writing goes on."""
    told = child("limits", "full", small_disk)
    assert told["acknowledged"] > 20
    assert told["refused"] == 20


def test_forked_child_reads_and_does_not_write(tmp_path: Path) -> None:
    """A fork of the owner may read what was there, writes nothing, and the owner goes on as if it had not been."""
    with LogEngine.open(tmp_path, sync="always") as store:
        store[b"key"] = b"value"
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                store[b"child"] = b"writes"
            except WritesRefusedError:
                status = 0 if store[b"key"] == b"value" else 2
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        store[b"after"] = b"the fork"
    with LogEngine.open(tmp_path) as store:
        assert dict(store.items()) == {b"key": b"value", b"after": b"the fork"}
