"""kvs serve: let clients work on the store over the network."""
# ruff: noqa: PLC0415  # a server's modules are imported when it is to run, and not for its help

import os
from typing import Annotated, Any, Final, Literal

import typer

import kvs
from kvs.cli.directory import DEFAULT_DIRECTORY, Directory
from kvs.cli.text import put_line

Sync = Literal["always", "interval", "none"]
Design = Literal["auto", "loop", "ready", "jobs"]
LONGEST_S: Final = 31_536_000.0
"""A year: what no time-out needs to exceed, and every clock can count."""


def _option(flag: str, metavar: str | None, about: str, **limits: Any) -> Any:
    """Return an option that a variable of its name can give as well: --max-clients and KVS_MAX_CLIENTS."""
    variable = "KVS_" + flag.removeprefix("--").replace("-", "_").upper()
    return typer.Option(flag, metavar=metavar, envvar=variable, help=about, **limits)


def _seconds(flag: str, about: str) -> Any:
    """Return an option for a time in seconds."""
    return _option(flag, "S", about, min=0, max=LONGEST_S)


def run(  # noqa: PLR0913, PLR0917  # a command's options are its arguments
    ctx: typer.Context,
    directory: Directory = DEFAULT_DIRECTORY,
    address: Annotated[
        str, _option("--addr", "ADDR", "Where to listen: HOST:PORT, [IPV6]:PORT or unix:PATH; port 0 is any.")
    ] = "127.0.0.1:4000",
    engine: Annotated[
        str | None, _option("--engine", "NAME", "The engine; the one that the directory remembers, unless told.")
    ] = None,
    pool: Annotated[str, _option("--pool", "NAME", "The threads: naive, shared-queue or executor.")] = "shared-queue",
    threads: Annotated[int, _option("--threads", "N", "How many threads.", min=1, max=1000)] = 4,
    design: Annotated[Design, _option("--design", None, "How connections are served.")] = "auto",
    sync: Annotated[Sync | None, _option("--sync", None, "When writes are made durable.")] = None,
    sync_interval: Annotated[
        float | None, _seconds("--sync-interval", "Seconds between two fsyncs, with --sync interval.")
    ] = None,
    segment_bytes: Annotated[int | None, _option("--segment-bytes", "N", "Where a segment of the log ends.")] = None,
    compact_dead_bytes: Annotated[
        int | None, _option("--compact-dead-bytes", "N", "How much must be dead for a compaction,")
    ] = None,
    compact_dead_ratio: Annotated[
        float | None, _option("--compact-dead-ratio", "R", "and which part of all bytes.")
    ] = None,
    max_clients: Annotated[int | None, _option("--max-clients", "N", "Connections at the same time.")] = None,
    idle_timeout: Annotated[
        float | None, _seconds("--idle-timeout", "Close a connection on which nothing happens for so long; 0: never.")
    ] = None,
    frame_timeout: Annotated[
        float | None, _seconds("--frame-timeout", "Within which time a command that has begun must be there.")
    ] = None,
    send_timeout: Annotated[
        float | None, _seconds("--send-timeout", "How long a client may take none of its replies.")
    ] = None,
    drain_timeout: Annotated[float | None, _seconds("--drain-timeout", "How long a stop waits for clients.")] = None,
    max_reply_bytes: Annotated[
        int | None, _option("--max-reply-bytes", "N", "With more than this to send, a client is not read from.")
    ] = None,
    password_file: Annotated[
        str | None, _option("--password-file", "FILE", "Ask for the password that is in this file (or KVS_PASSWORD).")
    ] = None,
    unprotected: Annotated[
        bool, _option("--unprotected", None, "Let the network in, although no password is asked for.")
    ] = False,
    tls_cert: Annotated[
        str | None, _option("--tls-cert", "FILE", "Speak TLS alone; the certificate, in PEM, and those it rests on.")
    ] = None,
    tls_key: Annotated[str | None, _option("--tls-key", "FILE", "The certificate's private key, in PEM.")] = None,
    pidfile: Annotated[
        str | None, _option("--pidfile", "FILE", "Write the process id there, and be the only one to do so.")
    ] = None,
    metrics_addr: Annotated[
        str | None, _option("--metrics-addr", "ADDR", "Answer /metrics and /healthz by HTTP there.")
    ] = None,
    log_format: Annotated[Literal["text", "json"], _option("--log-format", None, "How to log, to stderr.")] = "text",
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], _option("--log-level", None, "What to log.")
    ] = "info",
    version: Annotated[bool, typer.Option("--version", "-V", help="Print the version and exit.")] = False,
) -> None:
    """Serve the store to clients over the network, by the Redis protocol.

    SIGTERM and SIGINT stop it in order, a second one at once; SIGHUP and SIGUSR1 compact. Each option is also read from
    the variable KVS_NAME.
    """
    if version:
        put_line(f"kvs {kvs.__version__}".encode())
        return

    import logging

    from kvs.cli.serving import Wishes, WrongUsageError, settle
    from kvs.errors import KvsError
    from kvs.net.logs import logging_to_stderr
    from kvs.net.process import live

    wishes = Wishes(
        directory=directory,
        address=address,
        engine=engine,
        engine_options=_given(
            sync=sync,
            sync_interval_s=sync_interval,
            segment_bytes=segment_bytes,
            compact_dead_bytes=compact_dead_bytes,
            compact_dead_ratio=compact_dead_ratio,
        ),
        pool=pool,
        threads=threads,
        design=design,
        limits=_given(
            max_clients=max_clients,
            idle_timeout_s=idle_timeout,
            frame_timeout_s=frame_timeout,
            send_timeout_s=send_timeout,
            drain_timeout_s=drain_timeout,
            max_reply_bytes=max_reply_bytes,
        ),
        password_file=password_file,
        password=os.environ.get("KVS_PASSWORD") or None,
        is_unprotected=unprotected,
        tls_cert=tls_cert,
        tls_key=tls_key,
        pidfile=pidfile,
        metrics_address=metrics_addr,
    )
    with logging_to_stderr(log_format, log_level):
        try:
            live(settle(wishes), os.environ)
        except WrongUsageError as error:
            ctx.fail(str(error))
        except Exception as error:
            if log_format == "text":
                raise  # the command line tells it in a line of its own
            is_expected = isinstance(error, KvsError | OSError)
            logging.getLogger("kvs.serve").log(logging.ERROR, "%s", error, exc_info=not is_expected)
            raise typer.Exit(1) from None


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that were given; for the others those who know them best have a value."""
    return {name: value for name, value in options.items() if value is not None}
