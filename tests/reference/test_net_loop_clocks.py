"""Deadlines beside a plain list of them, on a clock that the test turns."""

import random

from kvs.net.deadlines import Deadlines


def test_deadlines_are_what_a_list_of_them_says(rng: random.Random) -> None:
    """Beginning, renewing and ending in any order, what expires and what is next is what a plain search finds."""
    for timeout_s in (0.0, 1.0):
        deadlines, plain, now_s = Deadlines[int](timeout_s), dict[int, float](), 0.0
        for _ in range(5_000):
            one = rng.randrange(8)
            now_s += rng.choice([0.0, 0.0, 0.1, 0.5])
            match rng.randrange(4):
                case 0:
                    deadlines.begin(one, now_s)
                    plain.setdefault(one, now_s + timeout_s)
                case 1:
                    deadlines.renew(one, now_s)
                    plain[one] = now_s + timeout_s
                case 2:
                    deadlines.end(one)
                    plain.pop(one, None)
                case _:
                    due = [each for each, until_s in plain.items() if until_s <= now_s]
                    assert sorted(deadlines.expire(now_s)) == (sorted(due) if timeout_s else [])
                    for each in due:
                        del plain[each]
            if timeout_s:
                assert deadlines.next() == min(plain.values(), default=None)
                assert (one in deadlines) == (one in plain)
            else:
                assert deadlines.next() is None, "0 is no deadline"


def test_a_deadline_that_is_begun_again_stays() -> None:
    """Who has a deadline and is asked again keeps the first: asking puts nothing off. Renewing does."""
    deadlines = Deadlines[str](10)
    deadlines.begin("a", 0)
    deadlines.begin("b", 1)
    deadlines.begin("a", 9)
    assert deadlines.expire(10) == ["a"]
    deadlines.renew("b", 5)
    assert deadlines.expire(11) == []
    assert deadlines.expire(15) == ["b"]
