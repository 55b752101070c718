"""The body of a request, read up to a limit; gzip undone without trusting what it says of its size."""

from __future__ import annotations

import zlib

from fastapi import Request

from mlhealth.errors import DataError, PermanentError
from mlhealth.events.bodies import UnknownContentType

_GZIP = 31  # zlib's word for a gzip header


class BodyTooLarge(PermanentError):
    """A body of more bytes than are taken."""


async def received(request: Request, most: int) -> bytes:
    """Return the body; raises BodyTooLarge as soon as it is known to be, and DataError for broken gzip."""
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > most:
        raise _too_large(most)
    parts = bytearray()
    async for chunk in request.stream():
        parts += chunk
        if len(parts) > most:
            raise _too_large(most)
    return decoded(bytes(parts), request.headers.get("content-encoding", "identity"), most)


def decoded(content: bytes, encoding: str, most: int) -> bytes:
    """Return a body without its content encoding; raises BodyTooLarge, DataError, UnknownContentType.

    >>> import gzip
    >>> decoded(gzip.compress(b"{}"), "gzip", 100)
    b'{}'
    """
    if encoding.strip().lower() in {"", "identity"}:
        return content
    if encoding.strip().lower() != "gzip":
        raise UnknownContentType(f"content encoding {encoding} is not read here; send gzip or none")
    unpacker = zlib.decompressobj(_GZIP)
    try:
        plain = unpacker.decompress(content, most + 1)
    except zlib.error as error:
        raise DataError(f"the body is not valid gzip: {error}") from None
    if len(plain) > most:
        raise _too_large(most)
    if not unpacker.eof:
        raise DataError("the body is not valid gzip: it ends too early")
    return plain


def _too_large(most: int) -> BodyTooLarge:
    return BodyTooLarge(f"the body has more than {most} bytes (max_message_bytes); send smaller batches")
