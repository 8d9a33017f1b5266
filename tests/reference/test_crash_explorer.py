"""The explorer on a small scale: it finds nothing, and looks where it says. `prove.py` does the work in earnest."""

import logging
from collections.abc import Iterator
from random import Random

import pytest
from support.crash import tested
from support.crash.explore import Care, Explorer
from support.crash.images import outcomes
from support.crash.play import play
from support.crash.run import Run, Violation
from support.crash.scale import small_measures
from support.crash.state import DiskState
from support.crash.story import shrink, tell
from support.crash.workload import MODES, draw

CARE = Care(probe_every=3, recovery_every=25, kill_every=15)


@pytest.fixture(autouse=True)
def small_and_quiet() -> Iterator[None]:
    """Work with small measures; thousands of torn tails need not be logged."""
    logging.disable(logging.CRITICAL)
    with small_measures():
        yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("engine", ["log", "lockfree"])
def test_no_crash_breaks_a_promise(monkeypatch: pytest.MonkeyPatch, engine: str, mode: str) -> None:
    """Whatever a crash leaves, the store opens with a state between the last that was promised and the last issued."""
    monkeypatch.setenv(tested.VARIABLE, engine)
    explorer = Explorer(CARE)
    for seed in range(20, 22):
        explorer.explore(draw(seed, mode, 10))
    assert explorer.tally.crashes > 3_000
    assert explorer.tally.in_recovery > 300
    assert explorer.tally.after_kill > 1_000


def replayed(run: Run) -> DiskState:
    state = run.base.clone()
    for step in run.steps:
        state.apply(step)
    return state


def test_same_seed_makes_the_same_steps() -> None:
    """A seed is enough to see a run again: its operations, its steps and its bytes are the same."""
    one, other = play(draw(4, "interval")), play(draw(4, "interval"))
    assert one.steps == other.steps
    assert replayed(one).shown() == replayed(other).shown()


def test_writers_go_on_beside_compactions(monkeypatch: pytest.MonkeyPatch) -> None:
    """For the engine that lets them, workloads write in the middle of merges, where every crash is tried, too."""
    monkeypatch.setenv(tested.VARIABLE, "lockfree")
    steps = [step for seed in range(6) for step in play(draw(seed, "none", 20)).steps]
    kinds = [step[0] for step in steps if step[0] in {"append", "store"}]
    assert any(kinds[at : at + 3] == ["append", "store", "append"] for at in range(len(kinds)))
    assert b"beside" in b"".join(step[3] for step in steps if step[0] == "store")


def test_workloads_exercise_the_log() -> None:
    """Among a few workloads are rotations, merges, hints, cut tails and unlinked segments."""
    steps = [step for seed in range(6) for mode in MODES for step in play(draw(seed, mode)).steps]
    assert {"create", "resize", "store", "append", "sync", "sync_dir", "rename", "unlink"} <= {
        step[0] for step in steps
    }
    names = [step[1] for step in steps if step[0] == "create"]
    assert any(name.endswith(".hint") for name in names)
    assert any("-" in name and name.endswith(".tmp") for name in names)


def test_power_failure_takes_what_was_not_synced() -> None:
    """Bytes without an fsync may be lost, kept or torn; a name without a sync of the directory may be lost or kept."""
    state = DiskState()
    for step in [
        ("create", "f", 0),
        ("resize", 0, 4),
        ("sync_dir",),
        ("sync", 0),
        ("rename", "f", "g"),
        ("store", 0, 1, b"xy"),
    ]:
        state.apply(step)
        last = step
    power = [outcome.image for outcome in outcomes(state, last, Random(1)) if outcome.is_power]
    assert {next(iter(image)) for image in power} == {"f", "g"}
    assert {image.get("f") or image["g"] for image in power} == {bytes(4), b"\0x\0\0", b"\0xy\0"}


def test_kill_takes_nothing_that_was_done() -> None:
    """A process that dies leaves all its steps in the page cache; only the last store may be torn."""
    state = DiskState()
    for step in [("create", "f", 0), ("resize", 0, 2), ("store", 0, 0, b"xy")]:
        state.apply(step)
    kills = [outcome.image for outcome in outcomes(state, step, Random(1)) if not outcome.is_power]
    assert kills == [{"f": b"xy"}, {"f": b"\0\0"}, {"f": b"x\0"}]


def test_violation_tells_its_story() -> None:
    """A broken promise is told with its operations, steps, files, what was expected, what came, and its seed."""
    explorer = Explorer(CARE)
    run = play(draw(1, "always", 6))
    run.states[-1] = {b"never": b"written"}  # the model is made wrong, so that the store must be found so
    with pytest.raises(Violation) as caught:
        explorer._walk(run)
    story = tell(caught.value)
    for part in ("in mode 'always'", "The operations:", "The last steps to the disk:", "It left:", "never", "--seed 1"):
        assert part in story


def test_story_is_made_short() -> None:
    """Operations that a violation does not need are left out of its story."""
    workload = draw(2, "none", 12)

    def explore(smaller: object) -> None:
        if any(op[0] == "set" for op in smaller.ops):
            raise Violation(Run(smaller, DiskState()), 0, None, "", [])

    with pytest.raises(Violation) as caught:
        explore(workload)
    assert len(shrink(caught.value, explore).run.workload.ops) == 1
