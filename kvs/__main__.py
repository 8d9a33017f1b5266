"""Where `kvs` and `python -m kvs` begin; and `kvs-client` and `kvs-server`, their names in the Rust course."""

import gc
import sys


def main(*first: str) -> int:
    """Run the command line on the words of this process and return its exit status.

    Args:
        first: words that go before them.

    The garbage collector is told that modules are no garbage: else it would look through all of them several times
    during the imports, and twice more at the exit. That is a fifth of the time that `kvs get` takes.
    """
    gc.disable()
    try:
        from kvs.cli.app import run  # noqa: PLC0415  # here, so that Ctrl-C during the imports is quiet too

        gc.freeze()
        gc.enable()
        return run([*first, *sys.argv[1:]])
    except KeyboardInterrupt:
        return 130
    finally:
        gc.freeze()


def server() -> int:
    """Run `kvs serve` with the words of this process; a tree without the server says that there is no such command."""
    return main("serve")


if __name__ == "__main__":
    sys.exit(main())
