"""The server's side of TLS: a context that holds its certificate, for TLS 1.2 and later."""

import ssl

from kvs.errors import KvsError


def server_context(certificate: str, key: str) -> ssl.SSLContext:
    """Return the context in which the server proves who it is.

    Args:
        certificate: a PEM file: the server's certificate, and after it those that vouch for it.
        key: a PEM file with its private key, not encrypted, for there is nobody to ask for the password.

    Raises:
        KvsError: a file cannot be read or used, or the two do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    # A client that just closes is no error: a command cut off tells so by its own sizes. Else OpenSSL would answer the
    # end of what it reads with an alert, also when it was us who stopped reading.
    context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
    for path, what in ((certificate, "certificate"), (key, "key")):
        _check_readable(path, what)
    try:
        # Without a password here OpenSSL would ask the terminal for one, and wait.
        context.load_cert_chain(certificate, key, password=lambda: b"")
    except (ssl.SSLError, OSError, ValueError) as error:
        reason = getattr(error, "reason", None)
        why = reason.replace("_", " ").lower() if reason else "they are not what they should be, or encrypted"
        raise KvsError(f"cannot use the certificate {certificate} with the key {key}: {why}") from error
    return context


def _check_readable(path: str, what: str) -> None:
    """See that a file can be read: OpenSSL names neither the file nor which of the two it was."""
    try:
        with open(path, "rb") as file:
            file.read(1)
    except OSError as error:
        raise KvsError(f"cannot read the {what} {path}: {error.strerror}") from error
