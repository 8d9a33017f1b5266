"""What somebody chose on the command line: numbers, workloads and stores, by name."""

from kvs.bench.contenders import Contender
from kvs.bench.peers import contenders, slug
from kvs.bench.turn import WORKLOADS


def numbers(text: str, *, least: int) -> list[int]:
    """Return the numbers in a text such as "1,2,4".

    Raises:
        ValueError: there is something else in it, or a number below the least.
    """
    words = text.split(",")
    if not all(word.isascii() and word.isdigit() and int(word) >= least for word in words):
        raise ValueError(f"expected numbers from {least} on, with commas between them, found {text!r}")
    return list(dict.fromkeys(map(int, words)))


def workloads(text: str) -> list[str]:
    """Return the workloads that a text names; all, where it is empty.

    Raises:
        ValueError: there is none of such a name.
    """
    return _named(text, list(WORKLOADS), "workload")


def stores(text: str, base: str | None) -> list[type[Contender]]:
    """Return the stores that a text names; all, where it is empty. The base comes first.

    Raises:
        ValueError: there is none of such a name here.
    """
    there = {slug(make): make for make in contenders()[0]}
    names = _named(text, list(there), "store")
    if base is not None:
        names = list(dict.fromkeys([*_named(base.lower(), list(there), "store"), *names]))
    return [there[name] for name in names]


def _named(text: str, names: list[str], what: str) -> list[str]:
    wanted = list(dict.fromkeys(text.split(","))) if text else names
    for name in wanted:
        if name not in names:
            raise ValueError(f"no {what} is called {name!r}; there are {', '.join(names)}")
    return wanted
