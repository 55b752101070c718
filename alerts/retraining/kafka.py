"""A Kafka topic of retraining requests, one CloudEvent each; the training service calls back when it has ended.

Binding: CloudEvents Kafka protocol binding 1.0.2, structured mode. The key is the model, so that requests of one model
stay in order; the event's id is the request's, by which a reader sees repetitions.
"""

from __future__ import annotations

import socket
from typing import ClassVar

import orjson
from kafka import KafkaProducer
from kafka.errors import KafkaError

from mlhealth.alerts.retraining.base import Submission, TrainingService, cloud_event
from mlhealth.clock import SECOND
from mlhealth.config.receivers import KafkaTrainingConfig
from mlhealth.errors import DeliveryError
from mlhealth.records import RetrainingRequest

CONTENT_TYPE = ("content-type", b"application/cloudevents+json; charset=UTF-8")


class KafkaTraining(TrainingService):
    """Writes to one topic, and waits until every replica has it."""

    kind: ClassVar[str] = "kafka"

    def __init__(self, config: KafkaTrainingConfig) -> None:
        self._config = config

    def submit(self, request: RetrainingRequest) -> Submission:
        timeout = self._config.timeout / SECOND
        _reach(self._config.bootstrap, timeout)
        try:
            producer = KafkaProducer(
                bootstrap_servers=self._config.bootstrap,
                acks="all",
                max_block_ms=round(timeout * 1000),
                bootstrap_timeout_ms=round(timeout * 1000),
                client_id="mlhealth-retraining",
            )
            try:
                body = orjson.dumps(cloud_event(request))
                sent = producer.send(
                    self._config.topic, body, key=request.model.encode(), headers=[CONTENT_TYPE]
                )
                place = sent.get(timeout=timeout)
            finally:
                producer.close(timeout=1)
        except KafkaError as error:
            raise DeliveryError(f"{self._config.bootstrap}: {str(error) or type(error).__name__}") from None
        return Submission(f"{place.topic}/{place.partition}/{place.offset}")


def _reach(bootstrap: str, timeout: float) -> None:
    """Raise DeliveryError where no broker accepts a connection: a producer that finds none leaks its sockets."""
    reason = "no broker is named"
    for address in bootstrap.split(","):
        host, _, port = address.strip().rpartition(":")
        try:
            socket.create_connection((host or port, int(port) if host else 9092), timeout).close()
        except (OSError, ValueError) as error:
            reason = str(error)
        else:
            return
    raise DeliveryError(f"{bootstrap}: {reason}")
