"""Guesses: how many passwords may be tried, from one address and on one connection."""

from collections import OrderedDict, deque
from typing import Final

PER_SECOND: Final = 10
_MOST_SENDERS: Final = 1024


class Guesses:
    """Remembers when wrong passwords came, and from whom. After ten within a second no other is even looked at.

    Threads: the caller's; with several, as many more may slip through as there are.
    """

    def __init__(self) -> None:
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()  # sender -> when its last wrong ones came

    def may_try(self, sender: str, now_s: float) -> bool:
        """Tell whether this sender may try another password now."""
        times = self._wrong.get(sender)
        return times is None or len(times) < PER_SECOND or now_s - times[0] >= 1

    def was_wrong(self, sender: str, now_s: float) -> None:
        """Count a wrong password."""
        times = self._wrong.pop(sender, None) or deque(maxlen=PER_SECOND)
        times.append(now_s)
        self._wrong[sender] = times
        while len(self._wrong) > _MOST_SENDERS:
            self._wrong.popitem(last=False)
