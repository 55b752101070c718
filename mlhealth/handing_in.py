"""Handing a baseline to a running service over HTTP; standard library only, for training jobs are not servers."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from mlhealth.baseline import files as baseline_files
from mlhealth.baseline.record import Baseline
from mlhealth.errors import ConfigError, DeliveryError

TIMEOUT = 60.0
"""Seconds within which a service must answer."""


def hand_in(
    baseline: Baseline, service: str, token: str | None = None, *, activate: bool = True
) -> dict[str, Any]:
    """Send a baseline to the service at `service` (its address) and return what it says of it.

    Raises DeliveryError where the service cannot be reached or is in trouble, ConfigError where it refuses.
    """
    if not service.startswith(("http://", "https://")):
        raise ConfigError(f"{service}: a service's address begins with http:// or https://")
    headers = {"content-type": "application/octet-stream", "user-agent": "mlhealth"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    address = f"{service.rstrip('/')}/v1/baselines?activate={str(activate).lower()}"
    request = urllib.request.Request(address, baseline_files.to_bytes(baseline), headers)  # noqa: S310 - checked above
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as answer:  # noqa: S310 - checked above
            told: dict[str, Any] = json.load(answer)
            return told
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(500).decode(errors="replace")
        kind = DeliveryError if error.code >= 500 or error.code == 429 else ConfigError
        raise kind(f"{service}: answered {error.code}: {said}") from None
    except (OSError, ValueError) as error:
        raise DeliveryError(f"{service}: cannot be reached: {error}") from None
