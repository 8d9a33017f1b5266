"""Certificates for a test's servers, made by `openssl`; each vouches for itself, and holds for a day."""

import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

DEADLINE_S: Final = 20.0


def make_pair(home: Path, name: str) -> tuple[str, str]:
    """Make a certificate for localhost, and its key; return the names of the two files."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes certificates, is not installed")
    certificate, key = str(home / f"{name}.crt"), str(home / f"{name}.key")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
    command = [openssl, "req", "-x509", *curve, *names, "-days", "1", "-keyout", key, "-out", certificate]
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE_S)
    return certificate, key
