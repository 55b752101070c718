"""A Kafka source: broker, login, topics, rights, and how far the reading is behind."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kafka import KafkaAdminClient, KafkaConsumer, TopicPartition
from kafka.errors import GroupAuthorizationFailedError, KafkaError, TopicAuthorizationFailedError

from mlhealth.clock import MINUTE, SECOND
from mlhealth.config.sources import KafkaConfig
from mlhealth.doctor.findings import Finding, fault, ok, warning
from mlhealth.doctor.network import address_of, no_answer, no_tls
from mlhealth.events.messages import Partition
from mlhealth.sources.kafka_settings import client_settings, consumer_settings

STALE = 5 * MINUTE
"""A partition with unread messages whose checkpoint has not moved for so long is read by nobody."""
AHEAD = 5 * MINUTE
"""How far ahead of this clock a message's own timestamp may be."""
_TIMEOUT_MS = 5_000


@dataclass(frozen=True)
class Checkpoints:
    """How far the store says each partition was read, and when that last moved; and what time it is here."""

    read: dict[Partition, tuple[int, int]]
    now: int


def check_kafka(config: KafkaConfig, checkpoints: Checkpoints | None) -> list[Finding]:
    """Return what is to be said of a Kafka source; the checks stop where nothing more can be seen."""
    unreachable = _check_connection(config)
    if unreachable is not None:
        return [unreachable]
    try:
        admin = KafkaAdminClient(
            **client_settings(config.bootstrap, config.security) | {"bootstrap_timeout_ms": _TIMEOUT_MS}
        )
    except (KafkaError, OSError, ValueError) as error:
        return [_no_session(config, error)]
    try:
        findings = [ok(f"broker {config.bootstrap}", "answers"), *_check_topics(admin, config)]
    finally:
        admin.close()
    if any(finding.remedy for finding in findings if "topic" in finding.part):
        return findings
    return [*findings, *_check_reading(config, checkpoints)]


def _check_connection(config: KafkaConfig) -> Finding | None:
    part = f"broker {config.bootstrap}"
    addresses = [address_of(address) for address in config.bootstrap.split(",")]
    refusals = {address: no_answer(address) for address in addresses}
    if all(refusals.values()):
        return fault(
            part, str(next(iter(refusals.values()))), "start the broker, or correct sources.kafka.bootstrap"
        )
    if not config.security.protocol.endswith("SSL"):
        return None
    open_ones = [address for address, refusal in refusals.items() if refusal is None]
    security = config.security
    refusal = no_tls(open_ones[0], security.ca_file, check_hostname=security.check_hostname)
    if refusal is None or security.certificate_file is not None:
        return None
    return fault(part, refusal, "correct security.ca_file, or use the port of the listener with TLS")


def _no_session(config: KafkaConfig, error: Exception) -> Finding:
    part = f"broker {config.bootstrap}"
    security = config.security
    if security.token_url is not None:
        return fault(
            part, f"the login with a token failed ({error})", "check token_url, username, password and scope"
        )
    if security.mechanism is not None:
        seen = f"the connection stands, but the broker ends it at the login of {security.username}"
        return fault(part, seen, "check security.mechanism, username and password")
    if no_tls(address_of(config.bootstrap.split(",")[0])) != "it does not speak TLS":
        return fault(part, "the listener wants TLS", "set security.protocol to SSL or SASL_SSL")
    return fault(
        part, f"no session comes about ({error})", "check security.protocol: the listener may want a login"
    )


def _check_topics(admin: Any, config: KafkaConfig) -> Iterator[Finding]:
    wanted = [*config.topics, *([config.dead_letters] if config.dead_letters else [])]
    found = {topic["name"]: topic for topic in admin.describe_topics(wanted or None)}
    for name in wanted:
        yield _check_topic(name, found.get(name))
    if config.pattern is not None and not any(_matches(config.pattern, name) for name in found):
        yield warning(
            f"topics {config.pattern}", "no topic matches", "create one, or correct sources.kafka.pattern"
        )


def _check_topic(name: str, found: dict[str, Any] | None) -> Finding:
    part = f"topic {name}"
    code = 3 if found is None else int(found.get("error_code", 0))
    if found is None or code == 3:
        return fault(part, "is not there", "create it, or correct the name")
    if code == 29:
        return fault(part, "this user may not see it", "give the user READ and DESCRIBE on it")
    partitions = found["partitions"]
    leaderless = [p["partition_index"] for p in partitions if p["leader_id"] < 0]
    if leaderless:
        return fault(part, f"partitions {leaderless} have no leader", "start the brokers that hold them")
    behind = [p["partition_index"] for p in partitions if len(p["isr_nodes"]) < len(p["replica_nodes"])]
    if behind:
        return warning(
            part, f"partitions {behind} are not on all their brokers", "start the broker that is away"
        )
    return ok(part, f"{len(partitions)} partitions")


def _check_reading(config: KafkaConfig, checkpoints: Checkpoints | None) -> list[Finding]:
    try:
        with _consumer(config) as consumer:
            names = config.topics or [t for t in consumer.topics() if _matches(config.pattern, t)]
            places = [
                TopicPartition(t, n) for t in names for n in sorted(consumer.partitions_for_topic(t) or ())
            ]
            consumer.assign(places)
            ends, firsts = consumer.end_offsets(places), consumer.beginning_offsets(places)
            latest = _latest_timestamp(consumer, ends, firsts)
            consumer.committed(places[0])
    except TopicAuthorizationFailedError:
        return [fault("rights", "this user may not read the topics", "give it READ on each topic")]
    except GroupAuthorizationFailedError:
        return [fault("rights", f"this user may not use group {config.group}", "give it READ on the group")]
    except (KafkaError, ValueError) as error:
        return [fault("reading", f"{type(error).__name__}: {error}", "look at the broker's log")]
    findings = [ok("rights", f"topics and group {config.group} can be read")]
    if checkpoints is None:
        return findings
    findings += _check_timestamps(latest, checkpoints.now)
    return [*findings, *_check_lag(ends, firsts, checkpoints)]


def _check_timestamps(latest: int | None, now: int) -> Iterator[Finding]:
    if latest is not None and latest > now + AHEAD:
        seen = f"the newest message is dated {(latest - now) / SECOND:.0f} s in the future"
        yield fault(
            "clock of producers", seen, "let NTP set the clocks of producers, brokers and this machine"
        )


def _check_lag(ends: dict[Any, int], firsts: dict[Any, int], checkpoints: Checkpoints) -> Iterator[Finding]:
    unread, oldest, gone = 0, checkpoints.now, 0
    for tp, end in ends.items():
        offset, moved = checkpoints.read.get(Partition(tp.topic, tp.partition), (firsts[tp], 0))
        gone += max(0, firsts[tp] - offset)
        if end > offset:
            unread += end - max(offset, firsts[tp])
            oldest = min(oldest, moved)
    if gone:
        yield fault(
            "retention",
            f"{gone} messages were deleted before they were read",
            "add workers, or let the topic keep messages for longer",
        )
    if unread and checkpoints.now - oldest > STALE:
        yield fault(
            "lag",
            f"{unread} messages wait and nobody has read for {_minutes(checkpoints.now - oldest)}",
            "start `mlhealth serve` or `mlhealth worker`, and look at its log",
        )
    else:
        yield ok("lag", f"{unread} messages wait")


def _minutes(micros: int) -> str:
    return "ever" if micros > 10**15 else f"{micros // MINUTE} minutes"


def _latest_timestamp(consumer: Any, ends: dict[Any, int], firsts: dict[Any, int]) -> int | None:
    """Return when the newest message of any partition says it was written, in microseconds."""
    filled = [tp for tp, end in ends.items() if end > firsts[tp]]
    if not filled:
        consumer.poll(timeout_ms=500)  # a partition without messages tells of missing rights too
        return None
    for tp, end in ends.items():
        consumer.seek(tp, max(firsts[tp], end - 1))
    found = consumer.poll(timeout_ms=_TIMEOUT_MS)
    stamps = [record.timestamp for records in found.values() for record in records]
    return max(stamps) * 1_000 if stamps else None


@contextmanager
def _consumer(config: KafkaConfig) -> Iterator[Any]:
    settings = consumer_settings(config) | {"bootstrap_timeout_ms": _TIMEOUT_MS, "max_poll_records": 1_000}
    consumer = KafkaConsumer(**settings)
    try:
        yield consumer
    finally:
        consumer.close(autocommit=False, timeout_ms=2_000)


def _matches(pattern: str | None, name: str) -> bool:
    return pattern is not None and re.match(pattern, name) is not None
