"""The contract of every training service.

`submit` hands a request over and returns the service's name for the job. It may be called again with the same request
(an answer may have been lost) and must then name the same job: `request.id` is the idempotency key. `progress` asks
how a job is doing. Both may block up to the configured timeout; raise DeliveryError where a retry can help and
PermanentError where a person must change something.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

from mlhealth.clock import to_iso
from mlhealth.records import RetrainingRequest, RetrainingStatus

EVENT_TYPE = "dev.mlhealth.retraining.requested"


@dataclass(frozen=True)
class Submission:
    """The service took the request; `status_url` is where it says how the job does, if anywhere."""

    job: str
    status_url: str | None = None


@dataclass(frozen=True)
class Progress:
    """How a job is doing. `new_version`: the model version it made, where it says so. `gpu_seconds`: spent so far."""

    status: RetrainingStatus
    detail: str | None = None
    new_version: str | None = None
    gpu_seconds: int | None = None


@dataclass(frozen=True)
class Job:
    """A submitted request."""

    request: RetrainingRequest
    job: str
    status_url: str | None


class TrainingService(ABC):
    """One training service; immutable."""

    kind: ClassVar[str]
    """The name by which users choose it in mlhealth.yaml."""

    @abstractmethod
    def submit(self, request: RetrainingRequest) -> Submission:
        """Hand the request over."""

    def progress(self, job: Job) -> Progress | None:
        """Return how the job does; None where the service cannot be asked, and calls back instead."""
        return None


def cloud_event(request: RetrainingRequest) -> dict[str, Any]:
    """Return the request as a CloudEvent (1.0, structured mode), with the evidence as its data."""
    return {
        "specversion": "1.0",
        "id": request.id,
        "source": "mlhealth",
        "type": EVENT_TYPE,
        "subject": f"{request.model}/{request.version}",
        "time": to_iso(request.created),
        "datacontenttype": "application/json",
        "data": request_data(request),
    }


def request_data(request: RetrainingRequest) -> dict[str, Any]:
    """Return what a training job needs to know."""
    return {
        "request_id": request.id,
        "model": request.model,
        "version": request.version,
        "rule": request.rule,
        "reason": request.reason,
        "data_start": to_iso(request.data_start),
        "data_end": to_iso(request.data_end),
        "evidence": dict(request.evidence),
    }


_WORDS = {
    RetrainingStatus.SUCCEEDED: {
        "succeeded",
        "success",
        "successful",
        "complete",
        "completed",
        "done",
        "finished",
    },
    RetrainingStatus.FAILED: {
        "failed",
        "failure",
        "error",
        "stopped",
        "cancelled",
        "canceled",
        "aborted",
        "lost",
        "skipped",
    },
    RetrainingStatus.RUNNING: {"running", "started", "in_progress", "active"},
    RetrainingStatus.SUBMITTED: {
        "submitted",
        "pending",
        "queued",
        "accepted",
        "created",
        "suspended",
        "scheduled",
    },
}


def status_of(word: object) -> RetrainingStatus | None:
    """Return the status that a service's word for it means, or None where nobody knows the word.

    >>> status_of("SUCCEEDED")
    <RetrainingStatus.SUCCEEDED: 'succeeded'>
    """
    text = str(word).strip().lower().replace(" ", "_")
    return next((status for status, words in _WORDS.items() if text in words), None)
