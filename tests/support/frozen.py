"""Frozen: hold a thread up inside a call to the system, and see who can go on beside it.

This is what "lock-free reads" means, as a program: a reader finishes, whoever else stands still wherever.
"""

import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final

import pytest

DEADLINE_S: Final = 20.0
FSYNCS: Final = tuple(name for name in ("fsync", "fdatasync") if hasattr(os, name))
RENAMES: Final = ("rename", "replace")


class Stuck:
    """What comes back in place of a result from a call that did not end within the bound."""

    def __repr__(self) -> str:
        return "stuck"


STUCK: Final = Stuck()


class Gate:
    """A place where the first thread that comes by is held up until the gate opens; those who come later pass."""

    def __init__(self) -> None:
        self._is_first = threading.Lock()
        self._reached = threading.Event()
        self._opened = threading.Event()

    def come_by(self) -> None:
        """Wait here, if nobody came before."""
        if self._is_first.acquire(blocking=False):
            self._reached.set()
            self._opened.wait(DEADLINE_S)

    def wait_until_reached(self) -> None:
        """Return when somebody is held up here."""
        assert self._reached.wait(DEADLINE_S), "nobody came to the call that was to be frozen"

    def open(self) -> None:
        """Let go of whoever is held up."""
        self._opened.set()


def freeze(monkeypatch: pytest.MonkeyPatch, calls: Sequence[str], *, after: bool = False) -> Gate:
    """Put a gate before these functions of module os, or right after them; whoever calls one first is held up."""
    gate = Gate()

    def gated(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **named: Any) -> Any:
            if not after:
                gate.come_by()
            result = real(*args, **named)
            if after:
                gate.come_by()
            return result

        return call

    for name in calls:
        monkeypatch.setattr(os, name, gated(getattr(os, name)))
    return gate


class Call:
    """A call in a thread of its own."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self._work = work
        self._result: Any = STUCK
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._result = self._work()
        except BaseException as error:  # noqa: BLE001  # `result` raises it where it can be seen
            self._error = error

    def result(self, bound_s: float = DEADLINE_S) -> Any:
        """Return what it returns, raise what it raises; STUCK when it has not ended within the bound."""
        self._thread.join(bound_s)
        if self._error is not None:
            raise self._error
        return self._result


def beside(gate: Gate, frozen: Callable[[], Any], others: Sequence[Callable[[], Any]], bound_s: float) -> list[Any]:
    """Let one call come to its gate, make others beside it, and return what each came to within the bound.

    In the end the gate opens, and everybody has to get through.
    """
    calls = [Call(frozen)]
    try:
        gate.wait_until_reached()
        calls += [Call(other) for other in others]
        return [call.result(bound_s) for call in calls[1:]]
    finally:
        gate.open()
        for call in calls:
            assert call.result() is not STUCK, "the gate is open, and still somebody does not get through"
