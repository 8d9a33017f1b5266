"""Limits: a real process on a real disk that runs out of room, or of descriptors, or meets another owner.

    python -m support.crash.limits full DIRECTORY      DIRECTORY lies on a small file system of its own
    python -m support.crash.limits descriptors DIRECTORY
    python -m support.crash.limits race DIRECTORY ROUNDS

Each asserts what the store promises, in a process of its own, and prints one line of JSON.
"""

import json
import os
import resource
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final

from kvs.errors import StorageError, StoreLockedError
from kvs.log.store import LogEngine
from support.crash import tested
from support.crash.run import Model

SOME_DESCRIPTORS: Final = 32
LOST: Final = 3
WON: Final = 4


def full(directory: str) -> dict[str, object]:
    """Fill the disk until writes raise; all that was acknowledged stays, and with room again writing goes on."""
    root = Path(directory)
    ballast = root / "ballast"
    ballast.write_bytes(bytes(200_000))
    store = tested.engine_class().open(root / "store", sync="always", segment_bytes=100_000)
    model: Model = {}
    refused = _write_until_refused(store, model)
    ballast.unlink()
    store.set(b"room", b"again")
    model[b"room"] = b"again"
    assert dict(store.items()) == model
    store.close()
    with tested.engine_class().open(root / "store") as reopened:
        assert dict(reopened.items()) == model
    return {"acknowledged": len(model), "refused": refused}


def _write_until_refused(store: LogEngine, model: Model) -> int:
    """Write until twenty writes were refused; smaller ones may still fit where larger ones did not."""
    rng = Random(5)
    refused = 0
    number = 0
    while refused < 20:
        key, value = b"%d" % number, rng.randbytes(rng.choice([100, 3_000, 9_000]))
        number += 1
        try:
            store.set(key, value)
        except StorageError:
            refused += 1
            assert dict(store.items()) == model
        else:
            model[key] = value
    return refused


def descriptors(directory: str) -> dict[str, object]:
    """Run out of descriptors; all that was acknowledged stays, and opens where there are enough."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (SOME_DESCRIPTORS, hard))
    store = tested.engine_class().open(directory, segment_bytes=2_000, compact_dead_bytes=1 << 30)
    model: Model = {}
    refused = _write_until_refused(store, model)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert dict(store.items()) == model
    store.close()
    with tested.engine_class().open(directory) as reopened:
        assert dict(reopened.items()) == model
        reopened[b"one"] = b"more"
    return {"acknowledged": len(model), "refused": refused}


def race(directory: str, rounds: str) -> dict[str, object]:
    """Let two processes open a store at the same moment, over and over, new or there: one gets it, not both."""
    for number in range(int(rounds)):
        _race_once(f"{directory}/{number // 2}")
    return {"rounds": int(rounds)}


def _race_once(directory: str) -> None:
    reading, go = os.pipe()
    release, held = os.pipe()
    pids = [_in_fork(lambda: _open_at(directory, reading, release, (go, held))) for _ in range(2)]
    os.close(reading)
    os.close(release)
    os.close(go)  # now
    first, status = os.waitpid(-1, 0)
    assert os.waitstatus_to_exitcode(status) == LOST, f"the loser ended with {status}"
    os.close(held)  # the winner may go
    (winner,) = set(pids) - {first}
    assert os.waitstatus_to_exitcode(os.waitpid(winner, 0)[1]) == WON, "nobody got the store"


def _open_at(directory: str, reading: int, release: int, others: tuple[int, ...]) -> int:
    """Wait for the signal, open the store, and keep it until told; return how it went."""
    for fd in others:
        os.close(fd)
    os.read(reading, 1)
    try:
        store = tested.engine_class().open(directory)
    except StoreLockedError as error:
        return LOST if error.pid not in {os.getpid(), 0} else 1
    os.read(release, 1)
    store.close()
    return WON


def _in_fork(job: Callable[[], int]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            status = job()
        except BaseException:  # noqa: BLE001  # whatever it is, the fork must end here
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(status)
    return pid


def main(what: str, *words: str) -> None:
    """Do one of these."""
    told = {"full": full, "descriptors": descriptors, "race": race}[what](*words)  # type: ignore[operator]
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
