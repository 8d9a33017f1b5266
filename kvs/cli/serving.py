"""Serving: from what the words of `kvs serve` wish for to a plan that is sound, before anything is opened."""

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import kvs
from kvs import catalog
from kvs.engine import Engine
from kvs.errors import KvsError
from kvs.memory import MemoryEngine
from kvs.net.address import Address, is_loopback, parse_address
from kvs.net.options import ServerOptions
from kvs.net.process import Plan
from kvs.net.server import DesignName, KvsServer
from kvs.net.tls import server_context
from kvs.pool.base import ThreadPool

if TYPE_CHECKING:
    import ssl


class WrongUsageError(Exception):
    """The words of the command are wrong. The message says which, and what was expected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What the words and variables of a `kvs serve` say; None, or left out, for what they do not.

    Args:
        directory: of the store.
        address: where to listen.
        engine: the engine's name.
        engine_options: what the engine's own `open` is to be given.
        pool: the name of the thread pool,
        threads: and how many threads it has.
        design: how connections are served.
        limits: what ServerOptions is to be given.
        password_file: where the password stands.
        password: the password itself.
        is_unprotected: no password is no obstacle.
        tls_cert, tls_key: names of PEM files.
        pidfile: the PID file's name.
        metrics_address: where to answer HTTP.
    """

    directory: str
    address: str
    engine: str | None
    engine_options: dict[str, Any]
    pool: str
    threads: int
    design: DesignName
    limits: dict[str, Any]
    password_file: str | None
    password: str | None
    is_unprotected: bool
    tls_cert: str | None
    tls_key: str | None
    pidfile: str | None
    metrics_address: str | None

    def __repr__(self) -> str:
        return f"<Wishes for {self.directory!r}>"  # the password is nobody's business


def settle(wishes: Wishes) -> Plan:
    """Return the plan that the wishes come to. Files are read here, and nothing is made.

    Raises:
        WrongUsageError: the wishes are wrong, or contradict each other.
        KvsError: a file cannot be used, or the store would be open to the network.
    """
    try:
        return _settle(wishes)
    except ValueError as error:
        raise WrongUsageError(str(error)) from error


def _settle(wishes: Wishes) -> Plan:
    address = parse_address(wishes.address)
    if address.is_tls:
        raise ValueError("a server is told to speak TLS by --tls-cert and --tls-key; its address is HOST:PORT")
    if (wishes.tls_cert is None) != (wishes.tls_key is None):
        raise ValueError("--tls-cert and --tls-key go together")
    if not wishes.directory:
        raise ValueError("expected the directory of a store, found an empty name")
    _check_names(wishes)
    metrics_address = None if wishes.metrics_address is None else parse_address(wishes.metrics_address)
    if metrics_address is not None and (metrics_address.path or metrics_address.is_tls):
        raise ValueError(f"expected HOST:PORT for --metrics-addr, found {wishes.metrics_address!r}")
    password = _password(wishes)
    options = ServerOptions(**wishes.limits, password=password)
    if not wishes.is_unprotected:
        _check_protected(address, metrics_address, has_password=password is not None)
    context = None if wishes.tls_cert is None else server_context(wishes.tls_cert, wishes.tls_key or "")
    return Plan(
        version=kvs.__version__,
        place="memory" if wishes.engine == MemoryEngine.name else os.path.abspath(wishes.directory),
        open_engine=partial(_open, wishes),
        make_pool=partial(catalog.pool, wishes.pool, wishes.threads),
        listen=partial(_listen, wishes, options, context),
        drain_timeout_s=options.drain_timeout_s,
        pidfile=wishes.pidfile,
        metrics_address=metrics_address,
        is_encrypted=context is not None,
    )


def _check_names(wishes: Wishes) -> None:
    """See that engine and pool are such as there are."""
    for what, name, names in (
        ("engine", wishes.engine, kvs.engine_names()),
        ("pool", wishes.pool, catalog.pool_names()),
    ):
        if name is not None and name not in names:
            raise ValueError(f"no {what} is called {name!r}; there are {', '.join(names)}")


def _password(wishes: Wishes) -> str | None:
    """Return the password, from the file before the variable: a name that was given is meant.

    Raises:
        KvsError: the file cannot be read, or is empty.
    """
    path = wishes.password_file
    if path is None:
        return wishes.password
    try:
        with open(path, "rb") as file:
            first_line = file.readline().rstrip(b"\r\n")
    except OSError as error:
        raise KvsError(f"cannot read the password file {path}: {error.strerror}") from error
    if not first_line:
        raise KvsError(f"the password file {path} has no password in its first line")
    return os.fsdecode(first_line)


def _check_protected(address: Address, metrics: Address | None, *, has_password: bool) -> None:
    """See that nobody beyond this machine gets in without a password.

    Raises:
        KvsError: somebody would.
    """
    if not has_password and not _is_ours(address):
        raise KvsError(
            f"{address} can be reached over the network, and no password is asked for: "
            "give one by --password-file or KVS_PASSWORD, or say --unprotected"
        )
    if metrics is not None and not _is_ours(metrics):
        raise KvsError(
            f"{metrics} can be reached over the network, and metrics ask nobody for a password: say --unprotected"
        )


def _is_ours(address: Address) -> bool:
    try:
        return is_loopback(address)
    except OSError as error:
        raise KvsError(f"cannot resolve {address}: {error.strerror or error}") from error


def _open(wishes: Wishes) -> Engine:
    """Open the engine.

    Raises:
        WrongUsageError: it has no such option, or not with such a value.
    """
    try:
        return kvs.open(wishes.directory, wishes.engine, **wishes.engine_options)
    except ValueError as error:
        raise WrongUsageError(str(error)) from error
    except TypeError as error:
        _, unexpected, name = str(error).partition("unexpected keyword argument ")
        if not unexpected:
            raise
        option = name.strip("'").removesuffix("_s").replace("_", "-")
        raise WrongUsageError(f"this engine has no option --{option}") from None


def _listen(
    wishes: Wishes, options: ServerOptions, tls: "ssl.SSLContext | None", engine: Engine, pool: ThreadPool
) -> KvsServer:
    """Make the server. Where each write waits for the disk, the writes of a turn wait together."""
    return KvsServer(
        engine,
        pool,
        wishes.address,
        design=wishes.design,
        options=options,
        gathers=wishes.engine_options.get("sync") == "always",
        tls=tls,
    )
