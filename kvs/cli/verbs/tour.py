"""kvs tour: the database at work on real data, in about a minute."""
# ruff: noqa: PLC0415  # the whole package is imported, but only for the tour


def run() -> None:
    """Show the database at work on the names of all Unicode characters, and check every claim.

    Each stage of the course that is there has its scenes: importing, ranges, kill -9 in the middle of an import, and
    compaction; then a server, which is asked, compacts and stops. Works in a temporary directory, and leaves nothing.
    Exits with 1 if any of what it says is not true.
    """
    import logging

    from kvs.tour.play import play

    logging.disable(logging.WARNING)  # a torn tail is part of the show, and told there
    play()
