"""A logger for Python services: what a model was asked and answered, sent to mlhealth without holding anyone up.

>>> from mlhealth.client import Columns, Logger, Memory
>>> sent = Memory()
>>> with Logger("loan-default", "3", sent, columns=Columns(prediction="y_pred", score="y_score")) as logger:
...     logger.log({"age": 41}, prediction=1, score=0.83, id="a1", time="2026-11-22T12:00:00Z")
True
>>> sent.events[0]
{'age': 41, 'y_pred': 1, 'y_score': 0.83, 'event_id': 'a1', 'ts': '2026-11-22T12:00:00Z'}

It needs nothing but the standard library (and, for Kafka, a producer of yours), so it can be copied into a service.
"""

from __future__ import annotations

from mlhealth.client.logger import Columns, Logger, Pace, Stats
from mlhealth.client.transports import Http, Kafka, Memory, Retry, Transport

__all__ = ["Columns", "Http", "Kafka", "Logger", "Memory", "Pace", "Retry", "Stats", "Transport"]
