"""Whom the service lets in, and whom it refuses."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from mlhealth.api.access import COOKIE, check_address
from mlhealth.clock import HOUR
from mlhealth.config.listen import ListenConfig
from mlhealth.errors import AuthError, ConfigError, NotFoundError
from tests.integration.web.client import HTML, Reach, bearer, login
from tests.store_builder import FilledStore
from tests.web_server import application


def test_loopback_is_open_until_the_first_token(client: httpx.Client, store: FilledStore) -> None:
    """On one's own machine nothing stands in the way; the first token closes the door behind it."""
    assert client.get("/v1/models").status_code == 200
    store.add_token("ci", "read")
    assert client.get("/v1/models").status_code == 401
    assert client.get("/healthz").status_code == 200


def test_an_open_service_answers_to_loopback_names_only(store: FilledStore, reach: Reach) -> None:
    """A foreign page that points its own name at this machine is turned away."""
    assert reach(application(store), "evil.example").get("/v1/models").status_code == 403


def test_an_address_that_others_reach_needs_a_token(store: FilledStore, reach: Reach) -> None:
    """Starting on 0.0.0.0 without a token is refused in one line; with one, everything asks for it."""
    with pytest.raises(ConfigError, match="mlhealth token create"):
        check_address(ListenConfig(host="0.0.0.0"), store.tokens, store.clock.now())
    check_address(ListenConfig(host="127.0.0.1"), store.tokens, store.clock.now())
    check_address(ListenConfig(host="0.0.0.0", allow_open=True), store.tokens, store.clock.now())
    text = store.add_token("ci", "read")
    check_address(ListenConfig(host="0.0.0.0"), store.tokens, store.clock.now())
    client = reach(application(store, host="0.0.0.0"), "mlhealth.example")
    assert client.get("/v1/models").status_code == 401
    assert client.get("/metrics").status_code == 401
    assert client.get("/v1/models", headers=bearer(text)).status_code == 200


def test_wrong_ended_and_revoked_tokens_open_nothing(client: httpx.Client, store: FilledStore) -> None:
    """Each is 401, and says which it is only to who holds the right secret."""
    text = store.add_token("short", "read", lifetime=HOUR)
    identity = text.split("_")[1]
    for wrong in ("x", "mlh__", f"mlh_{identity}_guess", text[:-1], f"mlh__{identity}"):
        assert client.get("/v1/models", headers=bearer(wrong)).status_code == 401
    assert client.get("/v1/models", headers=bearer(text)).status_code == 200
    store.clock.advance(HOUR)
    assert "ended" in client.get("/v1/models", headers=bearer(text)).json()["detail"]
    other = store.add_token("other", "read")
    store.tokens.revoke(other.split("_")[1], store.clock.now())
    with pytest.raises(AuthError, match="ended"):
        store.tokens.verify(other, store.clock.now())
    with pytest.raises(NotFoundError):
        store.tokens.revoke("none", store.clock.now())


def test_a_token_without_the_scope_is_refused(client: httpx.Client, store: FilledStore) -> None:
    """A token for sending events cannot read."""
    answer = client.get("/v1/models", headers=bearer(store.add_token("producer", "ingest")))
    assert answer.status_code == 403
    assert "lacks the scope read" in answer.json()["detail"]


def test_tokens_are_kept_as_digests_only(store: FilledStore, tmp_path: Path) -> None:
    """The store's file never holds a token's secret."""
    secret = store.add_token("ci", "read").split("_", 2)[2]
    assert all(secret.encode() not in path.read_bytes() for path in tmp_path.iterdir())


def test_login_gives_a_session_that_ends_with_its_token(client: httpx.Client, store: FilledStore) -> None:
    """A logged-in browser sees pages; once the token is revoked, it is asked again."""
    text = store.add_token("ada", "read")
    assert (
        client.get("/alerts?x=1", headers=HTML, follow_redirects=False).headers["location"]
        == "/login?next=%2Falerts%3Fx%3D1"
    )
    assert login(client, text, "/alerts?x=1") == "/alerts?x=1"
    assert client.get("/alerts", headers=HTML, follow_redirects=False).status_code == 200
    store.tokens.revoke(text.split("_")[1], store.clock.now())
    assert client.get("/alerts", headers=HTML, follow_redirects=False).status_code == 303


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_login_never_leads_elsewhere(client: httpx.Client, store: FilledStore, elsewhere: str) -> None:
    """`next` is a path of this service, or nothing."""
    assert login(client, store.add_token("ada", "read"), elsewhere) == "/"


def test_the_session_cookie_is_signed_and_out_of_reach_of_scripts(
    client: httpx.Client, store: FilledStore
) -> None:
    """HttpOnly, SameSite; a changed cookie is no session."""
    text = store.add_token("ada", "read")
    header = client.get("/login", headers=HTML).headers["set-cookie"].lower()
    assert "httponly" in header
    assert "samesite=lax" in header
    login(client, text)
    value = client.cookies[COOKIE]
    client.cookies.clear()
    client.cookies.set(COOKIE, value[:-2] + ("AA" if value[-2:] != "AA" else "BB"))
    assert client.get("/", headers=HTML, follow_redirects=False).status_code == 303


def test_forms_without_their_token_change_nothing(client: httpx.Client, store: FilledStore) -> None:
    """A form sent from elsewhere lacks the CSRF token, or has one of another session: 403."""
    text = store.add_token("ada", "read")
    login(client, text)
    for csrf in ("", "0" * 64):
        assert client.post("/logout", data={"csrf": csrf}).status_code in {403, 422}
    assert client.post("/login", data={"token": text, "csrf": "0" * 64}).status_code == 403
    assert client.get("/", headers=HTML, follow_redirects=False).status_code == 200
