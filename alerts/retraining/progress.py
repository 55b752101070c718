"""What a training service says of a job, asked or calling back, in the one form both use."""

from __future__ import annotations

from collections.abc import Mapping

from mlhealth.alerts.retraining.base import Progress, status_of
from mlhealth.errors import PermanentError
from mlhealth.records import RetrainingStatus


def progress_of(data: object) -> Progress:
    """Return what a service said of a job; raises PermanentError where it said nothing that can be understood."""
    if not isinstance(data, Mapping) or status_of(data.get("status")) is None:
        raise PermanentError(f"the training service's status is not understood: {str(data)[:200]}")
    status = status_of(data["status"]) or RetrainingStatus.RUNNING
    version, spent = data.get("version"), data.get("gpu_seconds")
    return Progress(
        status,
        None if data.get("detail") is None else str(data["detail"])[:1000],
        None if version is None else str(version),
        round(spent) if isinstance(spent, int | float) else None,
    )
