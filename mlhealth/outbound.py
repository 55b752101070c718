"""The one place from which this service speaks to others over HTTP: no request leaves for a forbidden address.

A name is resolved once, every address it has is judged, and the connection goes to an address that was judged: a name
that later means something else leads nowhere. Redirects are not followed. See `OutboundConfig` for what is forbidden.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Iterable
from urllib.parse import urlsplit

import httpx

from mlhealth.config.outbound import OutboundConfig
from mlhealth.errors import ConfigError, PermanentError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ForbiddenAddress(PermanentError):
    """A request to an address that this service must not ask."""


class Policy:
    """Which addresses may be asked."""

    def __init__(self, config: OutboundConfig | None = None) -> None:
        config = config or OutboundConfig()
        self._denies_private = config.private == "deny"
        self._networks = [found for text in config.allow if (found := _network(text)) is not None]
        self._names = {text.lower() for text in config.allow if _network(text) is None}

    def check(self, host: str, addresses: Iterable[Address]) -> None:
        """Raise ForbiddenAddress where one of a host's addresses may not be asked."""
        if host.lower() in self._names:
            return
        for address in addresses:
            plain = getattr(address, "ipv4_mapped", None) or address
            if any(plain in network for network in self._networks):
                continue
            if reason := self._refusal(plain):
                raise ForbiddenAddress(
                    f"{host} is {reason} ({plain}), which requests must not go to; see `outbound` in the configuration"
                )

    def _refusal(self, address: Address) -> str:
        if address.is_link_local or address == ipaddress.ip_address("fd00:ec2::254"):
            return "a link-local address"
        if (
            address.is_multicast
            or address.is_unspecified
            or (address.is_reserved and not address.is_loopback)
        ):
            return "no host's address"
        if self._denies_private and not address.is_global:
            return "a private address"
        return ""


class _Current:
    """The policy of this process."""

    policy = Policy()


def use(config: OutboundConfig) -> None:
    """Let requests of this process obey a configuration; called once, by the composition root."""
    _Current.policy = Policy(config)


def client(*, timeout: float, ca_file: str | None = None, **options: object) -> httpx.Client:
    """Return an HTTP client whose requests obey the policy; options are those of `httpx.Client`."""
    transport = GuardedTransport(verify=trust(ca_file))
    return httpx.Client(transport=transport, timeout=timeout, follow_redirects=False, **options)  # type: ignore[arg-type]


def check_url(url: str) -> None:
    """Raise ForbiddenAddress where a request to `url` may not leave; for clients that are not httpx."""
    parts = urlsplit(url)
    if parts.hostname:
        _Current.policy.check(parts.hostname, resolved(parts.hostname, parts.port or 0))


def trust(ca_file: str | None) -> ssl.SSLContext | bool:
    """Return whose certificates count: an authority's of one's own, or the usual ones."""
    if ca_file is None:
        return True
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ConfigError(f"ca_file {ca_file}: {error.strerror or error}") from None


def resolved(host: str, port: int) -> list[Address]:
    """Return every address that a host name has now; none where it has none."""
    try:
        return [ipaddress.ip_address(host.strip("[]"))]
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, port or None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def pinned(request: httpx.Request) -> httpx.Request:
    """Return a request that goes to an address of its host that was judged; raises ForbiddenAddress."""
    host = request.url.host
    addresses = resolved(host, request.url.port or 0)
    _Current.policy.check(host, addresses)
    if not addresses or host == str(addresses[0]):
        return request
    request.extensions = {**request.extensions, "sni_hostname": host}
    request.url = request.url.copy_with(host=str(addresses[0]))
    return request


class GuardedTransport(httpx.HTTPTransport):
    """httpx's own transport behind the policy."""

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request where it may go."""
        return super().handle_request(pinned(request))


class GuardedAsyncTransport(httpx.AsyncHTTPTransport):
    """The same for asynchronous clients."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request where it may go."""
        return await super().handle_async_request(pinned(request))


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
