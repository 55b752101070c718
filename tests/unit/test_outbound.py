"""Requests of the service go nowhere that the policy forbids."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from mlhealth import outbound
from mlhealth.config.outbound import OutboundConfig
from mlhealth.outbound import ForbiddenAddress, Policy, resolved
from tests.web_server import served

METADATA = ("169.254.169.254", "[fe80::1]", "0.0.0.0", "224.0.0.1", "::ffff:169.254.169.254")
PRIVATE = ("127.0.0.1", "10.1.2.3", "192.168.0.1", "172.16.0.1", "fd00::1", "::1")


def allowed(config: OutboundConfig, host: str) -> bool:
    """Whether a request to an address may leave."""
    try:
        Policy(config).check(host, resolved(host, 80))
    except ForbiddenAddress:
        return False
    return True


@pytest.mark.parametrize("host", METADATA)
def test_addresses_of_no_host_and_of_clouds_secrets_are_never_asked(host: str) -> None:
    """Link-local, multicast and unspecified addresses are refused by default, however they are written."""
    assert not allowed(OutboundConfig(), host)


@pytest.mark.parametrize("host", PRIVATE)
def test_private_addresses_are_a_matter_of_configuration(host: str) -> None:
    """They may be asked by default, not with `private: deny`, and again where their network is allowed."""
    assert allowed(OutboundConfig(), host)
    assert not allowed(OutboundConfig(private="deny"), host)
    networks = ("127.0.0.0/8", "10.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12", "fd00::/8", "::1/128")
    assert allowed(OutboundConfig(private="deny", allow=networks), host)
    assert allowed(OutboundConfig(private="deny"), "93.184.216.34")


def test_a_client_goes_where_it_may_alone() -> None:
    """A name that means a forbidden address is refused before anything is sent; an allowed one is answered."""
    app = FastAPI()
    app.get("/")(lambda: {"ok": True})
    with served(app) as address:
        url = address.replace("127.0.0.1", "localhost")
        try:
            outbound.use(OutboundConfig(private="deny"))
            with outbound.client(timeout=5.0) as client, pytest.raises(ForbiddenAddress, match="outbound"):
                client.get(url)
            outbound.use(OutboundConfig(private="deny", allow=("localhost",)))
            with outbound.client(timeout=5.0) as client:
                answer = client.get(url)
            assert answer.status_code == httpx.codes.OK
        finally:
            outbound.use(OutboundConfig())
