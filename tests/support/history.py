"""The oracle: every state that a store went through, in order.

What a store holds after a crash must be one of these states, whole: not older than the last acknowledged write, and
never a mixture, in which a later write is there and an earlier one is not.
"""

import random
from collections.abc import Iterable, Mapping
from typing import TypeAlias

import pytest

Step: TypeAlias = tuple[bytes, bytes | None]
"""A key with its new value, or with None to remove it."""


class History:
    """The states after 0, 1, 2 … steps.

    >>> History([(b"a", b"1"), (b"a", None)]).states
    [{}, {b'a': b'1'}, {}]
    """

    def __init__(self, steps: Iterable[Step] = ()) -> None:
        self.steps = list(steps)
        self.states: list[dict[bytes, bytes]] = [{}]
        for key, value in self.steps:
            state = dict(self.states[-1])
            if value is None:
                state.pop(key, None)
            else:
                state[key] = value
            self.states.append(state)

    def check(
        self, found: Mapping[bytes, bytes], *, at_least: int = 0, at_most: int | None = None, where: str = ""
    ) -> int:
        """Check that the contents are one of the states, and return after how many steps it came last.

        Args:
            found: what the store holds.
            at_least: how many steps must not be lost.
            at_most: how many steps were begun.
            where: what to say first when the check fails.
        """
        __tracebackhide__ = True
        last = len(self.steps) if at_most is None else min(at_most, len(self.steps))
        for count in range(last, at_least - 1, -1):
            if self.states[count] == found:
                return count
        pytest.fail(f"{where}: {self._describe(dict(found), at_least, last)}".removeprefix(": "))

    def _describe(self, found: dict[bytes, bytes], at_least: int, last: int) -> str:
        """Say what is wrong with contents that are none of the states."""
        wanted = self.states[at_least]
        lines = [f"the store holds no state between step {at_least} and step {last}; beside that of step {at_least}:"]
        wrong = [key for key in sorted(wanted.keys() | found.keys()) if wanted.get(key) != found.get(key)]
        lines += [f"  {key!r}: {_short(wanted.get(key))} became {_short(found.get(key))}" for key in wrong]
        return "\n".join(lines[:12])


def random_steps(rng: random.Random, count: int, *, keys: int = 8, value_bytes: int = 24) -> list[Step]:
    """Return steps whose values are all different and end in no zero; one in four removes a key that is there."""
    steps: list[Step] = []
    present: set[bytes] = set()
    for number in range(count):
        if present and rng.randrange(4) == 0:
            key = rng.choice(sorted(present))
            present.remove(key)
            steps.append((key, None))
        else:
            key = b"key%d" % rng.randrange(keys)
            present.add(key)
            steps.append((key, rng.randbytes(rng.randrange(value_bytes)) + b"#%d" % number))
    return steps


def _short(value: bytes | None) -> str:
    return "absent" if value is None else repr(value[:40])
