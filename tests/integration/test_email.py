"""Mail through a real SMTP server, with and without TLS."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from email import message_from_bytes
from email.message import Message
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from mlhealth.alerts.notifiers.base import Notification
from mlhealth.alerts.notifiers.registry import notifier
from mlhealth.config.receivers import ReceiverConfig
from mlhealth.errors import ConfigError, DeliveryError, PermanentError
from tests.contract.test_notifiers import news
from tests.servers.process import free_port


class Mailbox:
    """Keeps what comes; answers as it is told."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.answer = "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        """Take a mail."""
        if self.answer.startswith("250"):
            self.mails.append(message_from_bytes(envelope.content, policy=default))
        return self.answer


def _authenticated(
    server: Any, session: Any, envelope: Any, mechanism: str, data: LoginPassword
) -> AuthResult:
    return AuthResult(success=data.login == b"mlhealth" and data.password == b"pass word", handled=False)


@pytest.fixture
def authority() -> trustme.CA:
    """A certificate authority of ours."""
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    """Its certificate."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


@pytest.fixture
def mailbox() -> Mailbox:
    """Where mail arrives."""
    return Mailbox()


@pytest.fixture
def port(mailbox: Mailbox, authority: trustme.CA) -> Iterator[int]:
    """A server that wants STARTTLS and a login before it takes anything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    controller = Controller(
        mailbox, hostname="127.0.0.1", port=free_port(), tls_context=context, require_starttls=True,
        authenticator=_authenticated, auth_required=True,
    )  # fmt: skip
    controller.start()
    yield controller.port
    controller.stop()


def send(port: int, notification: Notification, **settings: Any) -> None:
    """Send by the server at this port."""
    login = {"username": "mlhealth", "password": "pass word"}
    config = {
        "host": "127.0.0.1",
        "port": port,
        "to": ["oncall@example.org"],
        "sender": "mlhealth@example.org",
    }
    notifier("mail", ReceiverConfig.model_validate({"email": {**config, **login, **settings}})).send(
        notification
    )


def test_a_mail_tells_the_story_over_tls(port: int, mailbox: Mailbox, ca_file: str) -> None:
    """A mail goes over STARTTLS with a login, tells the story, and keeps its Message-ID when sent again."""
    for _ in range(2):
        send(port, news(), ca_file=ca_file)
    mail, again = mailbox.mails
    assert mail["Subject"].startswith("[FIRING] loan-default version 3: PredictedAccuracyDrop (model wrong)")
    assert mail["Message-ID"] == again["Message-ID"] == "<msg_1@mlhealth.invalid>"
    body = mail.get_content()  # type: ignore[attr-defined]
    for part in (
        "How bad: estimated accuracy 81.2 % (79.4 % to 83.0 %)",
        "Why: accuracy fell",
        "Silence it: https://",
    ):
        assert part in body


def test_an_unknown_certificate_gets_no_password(port: int, mailbox: Mailbox) -> None:
    """A server whose certificate is not trusted is refused before anything is said to it."""
    with pytest.raises(PermanentError, match="certificate is not trusted"):
        send(port, news())
    assert mailbox.mails == []


def test_a_wrong_password_is_final_and_not_shown(port: int, ca_file: str) -> None:
    """A refused login is not tried again, and the message holds no password."""
    with pytest.raises(PermanentError) as caught:
        send(port, news(), ca_file=ca_file, password="wrong secret")
    assert "wrong secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("answer", "expected"), [("451 try later", DeliveryError), ("554 no thanks", PermanentError)]
)
def test_the_servers_answer_says_whether_to_retry(
    answer: str, expected: type[Exception], port: int, mailbox: Mailbox, ca_file: str
) -> None:
    """A 4xx answer is retried, a 5xx is final."""
    mailbox.answer = answer
    with pytest.raises(expected):
        send(port, news(), ca_file=ca_file)


def test_a_server_that_is_not_there_is_retried() -> None:
    """A refused connection is an error to retry."""
    with pytest.raises(DeliveryError):
        send(free_port(), news())


def test_odd_texts_cannot_add_headers(port: int, mailbox: Mailbox, ca_file: str) -> None:
    """Line breaks in a title stay in the subject; no header is smuggled in."""
    from dataclasses import replace

    first = news().notices[0]
    evil = replace(first, story=replace(first.story, title="x\r\nBcc: everyone@example.org\r\n\r\nhello"))
    send(port, replace(news(), notices=(evil,)), ca_file=ca_file)
    assert mailbox.mails[0]["Bcc"] is None


def test_clear_text_is_for_this_machine_only() -> None:
    """`tls: none` to another host is refused in the configuration."""
    from mlhealth.alerts.notifiers.registry import receiver_config

    given = {"email": {"host": "mail.example.org", "to": ["a@b.c"], "sender": "a@b.c", "tls": "none"}}
    with pytest.raises(ConfigError, match="clear text"):
        receiver_config("mail", given)
