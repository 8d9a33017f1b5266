"""What is measured: the same keys, values and operations for everybody, made from a seed."""

import random
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from kvs.engine import Op

KEY_BYTES: Final = 16
"""As in other stores' benchmarks."""
ZIPF: Final = 0.99
"""How uneven the Zipf keys are, as in YCSB: the key of rank r is read r ** 0.99 times less often than the first."""


@dataclass(frozen=True, slots=True)
class Workload:
    """The data of a run.

    Args:
        pairs: random keys of one size, random values of another, in random order.
        shuffled: the same keys in another order.
        zipf: as many reads, some keys often and most seldom.
        mostly_reads: operations of which 95 in 100 read and 5 replace a value,
        half_reads: and 50 in 100 each.
    """

    pairs: list[tuple[bytes, bytes]]
    shuffled: list[bytes]
    zipf: list[bytes]
    mostly_reads: list[Op]
    half_reads: list[Op]

    @classmethod
    def make(cls, count: int, value_bytes: int, seed: int) -> "Workload":
        """Make a workload of so many keys."""
        rng = random.Random(seed)  # noqa: S311  # repeatable, not secret
        pairs = make_pairs(count, value_bytes, rng)
        shuffled = [key for key, _ in pairs]
        rng.shuffle(shuffled)
        weights = list(accumulate((rank + 1) ** -ZIPF for rank in range(count)))
        zipf = rng.choices(shuffled, cum_weights=weights, k=count)
        values = [value for _, value in pairs]

        def mixed(share: float) -> list[Op]:
            reads = (rng.random() < share for _ in range(count))
            return [(rng.choice(shuffled), None if is_read else rng.choice(values)) for is_read in reads]

        return cls(pairs, shuffled, zipf, mixed(0.95), mixed(0.50))


def make_pairs(count: int, value_bytes: int, rng: random.Random) -> list[tuple[bytes, bytes]]:
    """Return random keys, with random values."""
    return [(rng.randbytes(KEY_BYTES), rng.randbytes(value_bytes)) for _ in range(count)]
