"""Listeners with TLS and SASL, accounts and access rights for a real broker, with certificates made for the test."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import parse_qs

import trustme
from cryptography.hazmat.primitives import serialization

from tests.servers.process import LOOPBACK, free_port

USER = "mlhealth"
PASSWORD = "right horse"
_MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER")
_MODULES = {
    "plain": f'org.apache.kafka.common.security.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
    "scram-sha-256": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    "scram-sha-512": "org.apache.kafka.common.security.scram.ScramLoginModule required;",
    "oauthbearer": "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"
    ' unsecuredLoginStringClaim_sub="broker";',
}


@dataclass
class BrokerSecurity:
    """Two more listeners: `sasl` (TLS and SASL, any mechanism) and `tls` (TLS with a client's certificate).

    The user `mlhealth` may do nothing but what rights (ACLs) give; the plaintext listener's anonymous may do all.
    """

    folder: Path
    sasl_port: int = field(default_factory=free_port)
    tls_port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(str(self.ca_file))
        server = authority.issue_cert(LOOPBACK, "localhost")
        chain = b"".join(pem.bytes() for pem in server.cert_chain_pems)
        (self.folder / "server.pem").write_bytes(_pkcs8(server.private_key_pem.bytes()) + chain)
        client = authority.issue_cert(f"{USER}.example.org")
        client.private_key_pem.write_to_path(str(self.key_file))
        client.cert_chain_pems[0].write_to_path(str(self.certificate_file))

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, that clients check the broker's by."""
        return self.folder / "ca.pem"

    @property
    def certificate_file(self) -> Path:
        """The client's certificate."""
        return self.folder / "client.pem"

    @property
    def key_file(self) -> Path:
        """The client's key."""
        return self.folder / "client.key"

    @property
    def sasl(self) -> str:
        """`host:port` of the listener with TLS and SASL."""
        return f"{LOOPBACK}:{self.sasl_port}"

    @property
    def tls(self) -> str:
        """`host:port` of the listener with TLS and client certificates."""
        return f"{LOOPBACK}:{self.tls_port}"

    def settings(self) -> dict[str, str]:
        """Return the broker's settings; those of its listeners are to be added to the ones it has."""
        settings = {
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "server.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.ca_file),
            "listener.name.tls.ssl.client.auth": "required",
            "listener.name.secure.sasl.enabled.mechanisms": ",".join(_MECHANISMS),
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": "User:ANONYMOUS",
        }
        for mechanism, module in _MODULES.items():
            settings[f"listener.name.secure.{mechanism}.sasl.jaas.config"] = module
        return settings

    def listeners(self) -> str:
        """Return the listeners as the broker's settings list them."""
        return f",SECURE://{self.sasl},TLS://{self.tls}"

    def accounts(self) -> list[str]:
        """Return the arguments by which the broker's storage is given the SCRAM accounts."""
        made = (f"SCRAM-SHA-{bits}=[name={USER},password={PASSWORD}]" for bits in (256, 512))
        return [argument for account in made for argument in ("--add-scram", account)]


@dataclass
class TokenServer:
    """An OAuth token endpoint: client credentials in, an unsigned token out."""

    url: str
    asked: list[Mapping[str, list[str]]]


@contextmanager
def token_server() -> Iterator[TokenServer]:
    """Serve tokens for the client `mlhealth`."""
    asked: list[Mapping[str, list[str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            asked.append(form)
            known = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            is_right = self.headers.get("Authorization") == f"Basic {known}"
            self.send_response(200 if is_right else 401)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            body = {"access_token": _token(), "expires_in": 300} if is_right else {"error": "invalid_client"}
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base's name
            """Say nothing."""

    server = HTTPServer((LOOPBACK, 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield TokenServer(f"http://{LOOPBACK}:{server.server_port}/token", asked)
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)


def _pkcs8(key: bytes) -> bytes:
    """Return a private key in the one form that Java reads."""
    loaded = serialization.load_pem_private_key(key, password=None)
    return loaded.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _token() -> str:
    now = int(time.time())
    claims = {"sub": USER, "iat": now, "exp": now + 300}
    return ".".join([_part({"alg": "none"}), _part(claims), ""])


def _part(data: Mapping[str, object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")
