"""Retraining requests on a real Kafka topic."""

from __future__ import annotations

import json

import pytest
from kafka import KafkaConsumer

from mlhealth.alerts.retraining.registry import training_service
from mlhealth.errors import DeliveryError
from tests.contract.test_training_services import request
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.process import free_port


def test_a_request_is_an_event_on_the_topic(kafka: KafkaCluster) -> None:
    """The event that lies on the topic is the request: its id, its model as key, its evidence."""
    topic = kafka.create_topic("retraining-requests")
    service = training_service("gpu", {"kafka": {"bootstrap": kafka.bootstrap, "topic": topic}})
    assert service.submit(request()).job == f"{topic}/0/0"
    consumer = KafkaConsumer(
        topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=20_000
    )
    try:
        message = next(iter(consumer))
    finally:
        consumer.close()
    event = json.loads(message.value)
    assert (event["id"], event["type"]) == (request().id, "dev.mlhealth.retraining.requested")
    assert message.key == b"loan-default"
    assert dict(message.headers)["content-type"].startswith(b"application/cloudevents+json")
    assert event["data"]["evidence"]["health"]["status"] == "critical"


def test_a_broker_that_is_away_is_retried() -> None:
    """A broker that does not answer is an error to retry, within the timeout."""
    settings = {"bootstrap": f"127.0.0.1:{free_port()}", "topic": "x", "timeout": "2s"}
    with pytest.raises(DeliveryError):
        training_service("gpu", {"kafka": settings}).submit(request())
