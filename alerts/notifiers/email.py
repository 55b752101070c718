"""E-mail over SMTP with TLS: plain text, one thread per group of alerts.

A repeated message has the same Message-ID (RFC 5322), by which mail systems recognise it.
"""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage
from typing import ClassVar

from mlhealth.alerts.notifiers.base import Delivered, Notification, Notifier, lines_of, worded_links
from mlhealth.clock import SECOND, to_datetime
from mlhealth.config.receivers import EmailConfig
from mlhealth.errors import DeliveryError, PermanentError

LONGEST_SUBJECT = 200


class EmailNotifier(Notifier):
    """Sends to a list of people by one server."""

    kind: ClassVar[str] = "email"

    def __init__(self, config: EmailConfig) -> None:
        self._config = config

    def send(self, notification: Notification) -> Delivered:
        host = self._config.host
        try:
            with self._connected() as server:
                refused = server.send_message(self.message(notification))
        except smtplib.SMTPResponseException as error:
            text = f"{host}: {error.smtp_code} {_text(error.smtp_error)}"
            raise (DeliveryError(text) if 400 <= error.smtp_code < 500 else PermanentError(text)) from None
        except smtplib.SMTPRecipientsRefused as error:
            raise _refused(host, error.recipients) from None
        except ssl.SSLCertVerificationError as error:
            raise PermanentError(f"{host}: its certificate is not trusted: {error.verify_message}") from None
        except smtplib.SMTPNotSupportedError as error:
            raise PermanentError(f"{host}: {error}") from None
        except (OSError, smtplib.SMTPException) as error:
            raise DeliveryError(f"{host}: {str(error) or type(error).__name__}") from None
        if refused:
            raise _refused(host, refused)
        return Delivered()

    def message(self, notification: Notification) -> EmailMessage:
        """Return the mail."""
        mail = EmailMessage()
        mail["Subject"] = _one_line(notification.title)[:LONGEST_SUBJECT]
        mail["From"] = self._config.sender
        mail["To"] = ", ".join(self._config.to)
        mail["Date"] = to_datetime(notification.now)
        mail["Message-ID"] = f"<{notification.id}@mlhealth.invalid>"
        mail["References"] = f"<{notification.notices[0].alert.fingerprint}@mlhealth.invalid>"
        mail["Auto-Submitted"] = "auto-generated"
        parts = []
        for notice in notification.notices:
            links = [f"{name}: {link}" for name, link in worded_links(notice, notification.base_url).items()]
            parts.append("\n".join([*lines_of(notice), *links]))
        mail.set_content("\n\n".join(parts).replace("\x00", ""))
        return mail

    def _connected(self) -> smtplib.SMTP:
        config, timeout = self._config, self._config.timeout / SECOND
        tls = None if config.tls == "none" else ssl.create_default_context(cafile=config.ca_file)
        if config.tls == "tls":
            server: smtplib.SMTP = smtplib.SMTP_SSL(config.host, config.port, timeout=timeout, context=tls)
        else:
            server = smtplib.SMTP(config.host, config.port, timeout=timeout)
        try:
            if config.tls == "starttls":
                server.starttls(context=tls)
            if config.username is not None:
                server.login(config.username, config.password.get_secret_value() if config.password else "")
        except BaseException:
            server.close()
            raise
        return server


def _refused(host: str, recipients: dict[str, tuple[int, bytes]]) -> DeliveryError | PermanentError:
    codes = [code for code, _ in recipients.values()]
    names = ", ".join(f"{name} ({code})" for name, (code, _) in recipients.items())
    kind = DeliveryError if any(code < 500 for code in codes) else PermanentError
    return kind(f"{host}: refused {names}")


def _one_line(text: str) -> str:
    return " ".join(text.replace("\x00", "").split())


def _text(said: bytes | str) -> str:
    return _one_line(said.decode("utf-8", "replace") if isinstance(said, bytes) else said)[:200]
