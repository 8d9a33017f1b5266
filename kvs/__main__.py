"""Where `kvs` and `python -m kvs` begin."""

import sys


def main() -> int:
    """Run the command line on the words of this process and return its exit status."""
    try:
        from kvs.cli.app import run  # noqa: PLC0415  # here, so that Ctrl-C during the imports is quiet too

        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
