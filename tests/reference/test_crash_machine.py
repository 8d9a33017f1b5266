"""A hypothesis state machine: the store beside a dict, through reopenings, kills and power failures."""

import logging

from support.crash.machine import run_machine
from support.crash.scale import small_measures


def test_store_and_dict_agree() -> None:
    """Whatever is done in whatever order, the store shows what a dict would; after a power failure a state before."""
    logging.disable(logging.CRITICAL)
    try:
        with small_measures():
            assert run_machine(60, seed=7) > 1_500
    finally:
        logging.disable(logging.NOTSET)
