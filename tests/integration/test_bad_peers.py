"""Receivers and training services that misbehave beyond retrying: each told in one line, and nothing else stops."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme
from sqlalchemy import select

from mlhealth.alerts.dispatch import Dispatcher, Options, Receiver
from mlhealth.alerts.notifiers.registry import notifier, receiver_config
from mlhealth.clock import SECOND, ManualClock
from mlhealth.store.alert_tables import outbox, record
from mlhealth.store.database import Database
from tests.alert_rules import DESIGN_RULE, store, window
from tests.strict_receiver import Reply, StrictReceiver, receiver

NOW = 1_800_000_000 * SECOND
TWO = DESIGN_RULE.replace("notify: [oncall]", "notify: [oncall, other]")


@contextmanager
def tls(certificate: trustme.LeafCert) -> Iterator[str]:
    """A receiver behind TLS."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Say nothing: a refused handshake is part of the test."""

    server = Quiet(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def told(database: Database, addresses: dict[str, str], **more: str) -> dict[str, tuple[str, str | None]]:
    """Page two receivers once; return what the outbox says of each."""
    from mlhealth.alerts.engine import step
    from mlhealth.alerts.rules import parse_rules

    with database.begin() as connection:
        record(connection, step(parse_rules(TWO), window(0)), NOW)
    made = {}
    for name, url in addresses.items():
        config = receiver_config(name, {"webhook": {"url": url, **more}, "give_up": "1s"})
        made[name] = Receiver(notifier(name, config), config)
    Dispatcher(database, made, Options(clock=ManualClock(NOW + 2 * SECOND))).turn()
    with database.read() as connection:
        rows = connection.execute(select(outbox.c.receiver, outbox.c.state, outbox.c.note))
        return {row.receiver: (row.state, row.note) for row in rows}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty store."""
    opened = store(tmp_path)
    yield opened
    opened.close()


@pytest.fixture
def fine() -> Iterator[StrictReceiver]:
    """A receiver that does as it should."""
    with receiver() as server:
        yield server


def test_a_redirect_to_another_host_is_not_followed(database: Database, fine: StrictReceiver) -> None:
    """The row says where it points; the host it points to hears nothing, the other receiver its page."""
    with receiver(lambda request: Reply(302, b"", {"location": "https://elsewhere.example/hook"})) as odd:
        found = told(database, {"oncall": odd.url, "other": fine.url})
    state, note = found["oncall"]
    assert state == "failed"
    assert "redirects to elsewhere.example, which is not followed" in str(note)
    assert found["other"] == ("delivered", None)


def test_a_sign_in_page_is_no_acceptance(database: Database, fine: StrictReceiver) -> None:
    """A proxy's refusal in HTML is told by its status, without the page."""
    page = Reply(403, b"<html><body>please sign in", {"content-type": "text/html"})
    with receiver(lambda request: page) as odd:
        found = told(database, {"oncall": odd.url, "other": fine.url})
    state, note = found["oncall"]
    assert (state, "403" in str(note), "<html" in str(note), "\n" in str(note)) == (
        "failed",
        True,
        False,
        False,
    )
    assert found["other"] == ("delivered", None)


@pytest.mark.parametrize("case", ["unknown authority", "another name"])
def test_a_bad_certificate_is_refused(
    case: str, database: Database, fine: StrictReceiver, tmp_path: Path
) -> None:
    """Nothing is sent to a peer whose certificate no known authority signed, or that is for another name."""
    ours, theirs = trustme.CA(), trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    leaf = (
        theirs.issue_cert("127.0.0.1") if case == "unknown authority" else ours.issue_cert("oncall.example")
    )
    with tls(leaf) as url:
        found = told(database, {"oncall": url}, ca_file=str(tmp_path / "ca.pem"))
    state, note = found["oncall"]
    assert state == "failed"
    assert "certificate verify failed" in str(note)
    assert "\n" not in str(note)
    assert fine.seen == []


def test_a_good_certificate_of_ones_own_authority_is_taken(database: Database, tmp_path: Path) -> None:
    """`ca_file` names the authority."""
    ours = trustme.CA()
    ours.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with tls(ours.issue_cert("127.0.0.1")) as url:
        found = told(database, {"oncall": url}, ca_file=str(tmp_path / "ca.pem"))
    assert found["oncall"] == ("delivered", None)
