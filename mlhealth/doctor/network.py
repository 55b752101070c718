"""Whether an address answers, and whether it speaks TLS that this machine trusts."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

TIMEOUT = 3.0


def address_of(url: str) -> tuple[str, int]:
    """Return host and port of a URL, or of `host:port`.

    >>> address_of("https://example.org/x"), address_of("127.0.0.1:9092")
    (('example.org', 443), ('127.0.0.1', 9092))
    """
    parts = urlsplit(url if "://" in url else f"//{url}")
    return parts.hostname or "", parts.port or {"http": 80, "https": 443}.get(parts.scheme, 9092)


def no_answer(address: tuple[str, int]) -> str | None:
    """Return why nobody answers at an address, None where somebody does."""
    try:
        with socket.create_connection(address, timeout=TIMEOUT):
            return None
    except OSError as error:
        return str(error.strerror or error).lower()


def no_tls(
    address: tuple[str, int], ca_file: str | None = None, *, check_hostname: bool = True
) -> str | None:
    """Return why no trusted TLS session comes about, None where one does."""
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        return f"{ca_file} cannot be read: {error.strerror or error}"
    context.check_hostname = check_hostname
    try:
        with (
            socket.create_connection(address, timeout=TIMEOUT) as plain,
            context.wrap_socket(plain, server_hostname=address[0]),
        ):
            return None
    except ssl.SSLCertVerificationError as error:
        return f"its certificate is not trusted: {error.verify_message}"
    except (OSError, ValueError):
        return "it does not speak TLS"
