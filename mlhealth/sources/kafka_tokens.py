"""OAuth tokens in the shape that kafka-python asks for."""

from __future__ import annotations

from kafka.net.sasl.oauth import AbstractTokenProvider

from mlhealth.config.sources import KafkaSecurity
from mlhealth.sources.oauth import TokenEndpoint, credentials_of


class _Provider(AbstractTokenProvider):  # type: ignore[misc]
    def __init__(self, endpoint: TokenEndpoint) -> None:
        super().__init__()
        self._endpoint = endpoint

    def token(self) -> str:
        return self._endpoint.token()[0]


def provider(security: KafkaSecurity) -> AbstractTokenProvider:
    """Return what gives a client its tokens."""
    return _Provider(TokenEndpoint(credentials_of(security)))
