"""A broker's address and security as kafka-python's keyword arguments, and its errors as ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kafka.errors import KafkaError

from mlhealth.config.sources import KafkaConfig, KafkaSecurity
from mlhealth.errors import ConfigError, MlhealthError, SourceUnavailable


def client_settings(bootstrap: str, security: KafkaSecurity) -> dict[str, Any]:
    """Return what consumer, producer and admin clients all take."""
    settings: dict[str, Any] = {
        "bootstrap_servers": bootstrap.split(","),
        "security_protocol": security.protocol,
        "client_id": "mlhealth",
        "bootstrap_timeout_ms": 10_000,
    }
    if security.protocol in {"SSL", "SASL_SSL"}:
        settings |= {
            "ssl_cafile": security.ca_file,
            "ssl_certfile": security.certificate_file,
            "ssl_keyfile": security.key_file,
            "ssl_check_hostname": security.check_hostname,
        }
    if security.token_url is not None:
        from mlhealth.sources.kafka_tokens import provider

        settings |= {"sasl_mechanism": security.mechanism, "sasl_oauth_token_provider": provider(security)}
    elif security.mechanism is not None:
        settings |= {
            "sasl_mechanism": security.mechanism,
            "sasl_plain_username": security.username,
            "sasl_plain_password": security.password.get_secret_value() if security.password else None,
        }
    return settings


def consumer_settings(config: KafkaConfig) -> dict[str, Any]:
    """Return the settings of the consumer.

    Offsets are the store's: nothing is committed by itself, and an offset that the broker no longer has is an error
    to be reported as a gap, not a silent jump.
    """
    return client_settings(config.bootstrap, config.security) | {
        "group_id": config.group,
        "group_instance_id": config.instance,
        "session_timeout_ms": config.session // 1000,
        "heartbeat_interval_ms": config.session // 5000,
        "enable_auto_commit": False,
        "metadata_max_age_ms": 10_000,
        "auto_offset_reset": "none",
        "check_crcs": config.check_crcs,
        "max_poll_records": config.poll_records,
        "max_partition_fetch_bytes": 8 * 1024 * 1024,
        "fetch_max_bytes": 32 * 1024 * 1024,
        "fetch_max_wait_ms": 200,
        "isolation_level": "read_committed",
        "metrics_enabled": False,
    }


@contextmanager
def translated(config: KafkaConfig) -> Iterator[None]:
    """Turn a client's errors into SourceUnavailable (a retry can help) or ConfigError (only a person can)."""
    try:
        yield
    except MlhealthError:
        raise  # an owner that was called back has its own troubles, with its store for one
    except KafkaError as error:
        text = f"kafka {config.bootstrap}: {_told(error)}"
        if type(error).__name__ in _HOPELESS:
            raise ConfigError(text) from error
        raise SourceUnavailable(text) from error
    except (OSError, ValueError) as error:
        raise SourceUnavailable(f"kafka {config.bootstrap}: {error}") from error


def _told(error: KafkaError) -> str:
    """Return the first line of what an error says, its kind in front once."""
    kind = type(error).__name__
    lines = str(error).strip().splitlines()
    said = lines[0].removeprefix(f"{kind}: ").strip() if lines else ""
    return f"{kind}: {said}" if said and said != kind else kind


_HOPELESS = {
    "ClusterAuthorizationFailedError",
    "GroupAuthorizationFailedError",
    "InconsistentGroupProtocolError",
    "InvalidGroupIdError",
    "InvalidSessionTimeoutError",
    "InvalidTopicError",
    "KafkaConfigurationError",
    "MessageSizeTooLargeError",
    "RecordListTooLargeError",
    "SaslAuthenticationFailedError",
    "TopicAuthorizationFailedError",
    "UnsupportedSaslMechanismError",
    "UnsupportedVersionError",
}
"""What stays wrong however often it is tried. All else passes: a member that the group forgot while it stood still (its
id or generation unknown) joins again, a leader that moved is found."""
