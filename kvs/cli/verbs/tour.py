"""kvs tour: the database at work on real data, in about a minute."""
# ruff: noqa: PLC0415  # the whole package is imported, but only for the tour


def run() -> None:
    """Show the database at work on the names of all Unicode characters, and check every claim.

    Imports them, reads and scans, is killed in the middle of a second import and loses nothing, compacts. Works in a
    temporary directory. Exits with 1 if any of what it says is not true.
    """
    import logging

    from kvs.tour.play import play

    logging.disable(logging.WARNING)  # a torn tail is part of the show, and told there
    play()
