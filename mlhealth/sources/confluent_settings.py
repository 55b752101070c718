"""A broker's address and security as librdkafka's settings."""

from __future__ import annotations

from typing import Any

from mlhealth.config.sources import KafkaConfig, KafkaSecurity
from mlhealth.sources.oauth import TokenEndpoint, credentials_of


def consumer_settings(config: KafkaConfig) -> dict[str, Any]:
    """Return the settings of the consumer: what `mlhealth.sources.kafka_settings` says, in librdkafka's words."""
    settings = {
        "bootstrap.servers": config.bootstrap,
        "client.id": "mlhealth",
        "group.id": config.group,
        "group.instance.id": config.instance,
        "session.timeout.ms": config.session // 1000,
        "heartbeat.interval.ms": config.session // 5000,
        "topic.metadata.refresh.interval.ms": 10_000,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "partition.assignment.strategy": "cooperative-sticky" if config.is_cooperative else None,
        "isolation.level": "read_committed",
        "check.crcs": config.check_crcs,
        "fetch.message.max.bytes": 8 * 1024 * 1024,
        "queued.max.messages.kbytes": 64 * 1024,
        **_security_settings(config.security),
    }
    return {name: value for name, value in settings.items() if value is not None}


def _security_settings(security: KafkaSecurity) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "security.protocol": security.protocol,
        "sasl.mechanism": security.mechanism,
        "ssl.ca.location": security.ca_file,
        "ssl.certificate.location": security.certificate_file,
        "ssl.key.location": security.key_file,
        "ssl.endpoint.identification.algorithm": None if security.check_hostname else "none",
    }
    if security.token_url is not None:
        endpoint = TokenEndpoint(credentials_of(security))
        return settings | {"oauth_cb": lambda _: endpoint.token()}
    if security.mechanism is not None:
        settings["sasl.username"] = security.username
        settings["sasl.password"] = security.password.get_secret_value() if security.password else None
    return settings
