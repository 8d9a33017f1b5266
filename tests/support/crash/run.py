"""Run: a workload that was played, step by step; Violation: a promise that it saw broken."""

from dataclasses import dataclass, field
from typing import TypeAlias

from support.crash.images import Outcome
from support.crash.state import DiskState, Step
from support.crash.workload import Workload

Model: TypeAlias = dict[bytes, bytes]


@dataclass(slots=True)
class Run:
    """A workload that was played.

    Args:
        workload: what was done.
        base: what the disk held before.
        steps: what the store did to the disk, and the marks.
        states: the model's states; state 0 is the beginning.
        low: the state that is promised at the beginning,
        high: and the last that may be shown.
    """

    workload: Workload
    base: DiskState
    steps: list[Step] = field(default_factory=list)
    states: list[Model] = field(default_factory=lambda: [{}])
    low: int = 0
    high: int = 0


class Violation(Exception):  # noqa: N818  # what was found is a violation, not an error of the explorer
    """A promise was broken.

    Args:
        run: the run.
        position: after which of its steps the crash came.
        outcome: what the crash left; None when the living store was wrong.
        found: what the store showed, or the error.
        allowed: the states that it might show.
        via: what happened between the crash and the second one, if there were two.
    """

    def __init__(
        self,
        run: Run,
        position: int,
        outcome: Outcome | None,
        found: Model | str,
        allowed: list[Model],
        via: str = "",
    ) -> None:
        super().__init__(f"seed {run.workload.seed}: {outcome.label if outcome else 'the living store'}")
        self.run = run
        self.position = position
        self.outcome = outcome
        self.found = found
        self.allowed = allowed
        self.via = via
