"""Deadlines: who has to be done with something within the same time, the first to fall due at the head."""

from typing import Generic, TypeVar

T = TypeVar("T")


class Deadlines(Generic[T]):
    """A queue of those who have begun. As all have the same time, who began first is due first: nothing is searched.

    Args:
        timeout_s: the time that each has, in seconds; 0 for no limit.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._until: dict[T, float] = {}  # in the order of their deadlines, for a dict keeps the order of insertion

    def begin(self, one: T, now_s: float) -> None:
        """Set a deadline for one that has none; one that has keeps it."""
        if self._timeout_s:
            self._until.setdefault(one, now_s + self._timeout_s)

    def renew(self, one: T, now_s: float) -> None:
        """Give one its whole time again."""
        self.end(one)
        self.begin(one, now_s)

    def end(self, one: T) -> None:
        """It is done, or was never asked."""
        self._until.pop(one, None)

    def __contains__(self, one: T) -> bool:
        return one in self._until

    def next(self) -> float | None:
        """Return the moment of the first deadline, or None."""
        return next(iter(self._until.values()), None)

    def expire(self, now_s: float) -> list[T]:
        """Take out and return those whose time is over."""
        due = []
        for one, until_s in self._until.items():
            if until_s > now_s:
                break
            due.append(one)
        for one in due:
            del self._until[one]
        return due
