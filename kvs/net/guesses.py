"""Guesses: how many passwords may be tried, from one address and on one connection."""

from collections import OrderedDict
from typing import Final

PER_SECOND: Final = 10
_MOST_ADDRESSES: Final = 1024


class Guesses:
    """Counts wrong passwords by who sent them, a second at a time. Who has used up the second is not even looked at.

    Threads: the caller's; a count that two threads change at once may be one short.
    """

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, tuple[int, int]] = OrderedDict()  # sender -> (the second, wrong ones in it)

    def may_try(self, sender: str, now_s: float) -> bool:
        """Tell whether this sender may try another password now."""
        second, wrong = self._wrong.get(sender, (0, 0))
        return second != int(now_s) or wrong < PER_SECOND

    def was_wrong(self, sender: str, now_s: float) -> None:
        """Count a wrong password."""
        second, wrong = self._wrong.pop(sender, (0, 0))
        self._wrong[sender] = (int(now_s), wrong + 1 if second == int(now_s) else 1)
        while len(self._wrong) > _MOST_ADDRESSES:
            self._wrong.popitem(last=False)
