"""Errors from the system, one at every call to the disk: nothing that was acknowledged is lost."""

import errno
import logging
from collections.abc import Iterator

import pytest
from support.crash.faults import Fault, faults_for
from support.crash.scale import small_measures
from support.crash.survivor import BrokenPromise, Survivor, calls_of
from support.crash.workload import MODES, draw


@pytest.fixture(autouse=True)
def small_and_quiet() -> Iterator[None]:
    """Work with small measures; thousands of errors need not be logged."""
    logging.disable(logging.CRITICAL)
    with small_measures():
        yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("mode", MODES)
def test_no_error_breaks_a_promise(mode: str) -> None:
    """Eight errors, once and for good, and short writes, at every call that a workload makes to the disk."""
    workload = draw(50, mode, 8)
    runs = 0
    for fault in faults_for(calls_of(workload)):
        runs += 1
        Survivor(workload, fault).live()
    assert runs > 500


def test_every_call_of_the_seam_is_let_fail() -> None:
    """The workloads of the sweep make every kind of call that the seam has."""
    seen = set[str]()
    for seed in range(6):
        fault = Fault()
        Survivor(draw(seed, "always", 12), fault).live()
        seen |= {call for call, _ in fault.calls}
    assert seen == {
        "create", "grow", "list", "lock", "open", "read", "rename", "sync", "sync_dir", "truncate", "unlink", "write",
    }  # fmt: skip


def test_fault_comes_where_it_was_asked_for() -> None:
    """The n-th call fails and no other, unless the fault is one that stays."""
    workload = draw(3, "always", 8)
    once, sticky = Fault(9, errno.EIO), Fault(9, errno.EIO, is_sticky=True)
    Survivor(workload, once).live()
    Survivor(workload, sticky).live()
    assert once.failed == [once.calls[8]]
    assert len(sticky.failed) >= 1
    assert {call for call, _ in sticky.failed} == {sticky.calls[8][0]}


def test_oracle_sees_a_lost_write() -> None:
    """The oracle is no yes-man: a store that lacks an acknowledged write is called broken."""
    survivor = Survivor(draw(3, "always", 8), Fault())
    survivor.live()
    survivor.acked = {b"never": b"written"}
    with pytest.raises(BrokenPromise, match="after a kill"):
        survivor._crash(is_power=False)
