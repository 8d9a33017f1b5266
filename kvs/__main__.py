"""Where `kvs` and `python -m kvs` begin."""

import gc
import sys


def main() -> int:
    """Run the command line on the words of this process and return its exit status.

    The garbage collector is told that modules are no garbage: else it would look through all of them several times
    during the imports, and twice more at the exit. That is a fifth of the time that `kvs get` takes.
    """
    gc.disable()
    try:
        from kvs.cli.app import run  # noqa: PLC0415  # here, so that Ctrl-C during the imports is quiet too

        gc.freeze()
        gc.enable()
        return run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130
    finally:
        gc.freeze()


if __name__ == "__main__":
    sys.exit(main())
