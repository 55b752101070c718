"""Did it help? A finished retraining is judged by the windows of the version that it made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlhealth.records import HealthStatus

RECOVERED = "recovered"
NOT_RECOVERED = "not recovered"
NO_VERSION = "no new version"


@dataclass(frozen=True)
class WindowStatus:
    """The health of one window of one version; `is_late`: it was judged after the job had ended."""

    version: str
    end: int
    status: HealthStatus
    is_late: bool = True


@dataclass(frozen=True)
class Verdict:
    """Whether the retraining helped; `recovered` is the end of the first healthy window of the new version."""

    text: str
    recovered: int | None = None


def judge(
    old: str, new: str | None, windows: Sequence[WindowStatus], within: int, *, is_worse: bool = False
) -> Verdict | None:
    """Return the verdict from the windows since the data of the request, in order of time; None while it is too early.

    `new` is the version the service named; without a name, any version but `old` counts. Recovered means: within its
    first `within` windows that could be told, the new version was healthy, and is at the last of those seen. When
    twice as many windows were judged since the job ended, and none of a new version, there is none. `is_worse`: on the
    windows that both versions answered the new one is surely worse, which no health of its own makes up for.
    """
    fresh = [w for w in windows if w.version != old and new in (None, w.version)]
    told = [w for w in fresh if w.status is not HealthStatus.UNKNOWN][:within]
    if told and told[-1].status is HealthStatus.HEALTHY and not is_worse:
        first = next(w.end for w in told if w.status is HealthStatus.HEALTHY)
        return Verdict(RECOVERED, first)
    if len(told) >= within:
        return Verdict(NOT_RECOVERED)
    if not fresh and sum(w.is_late for w in windows) >= 2 * within:
        return Verdict(NO_VERSION)
    return None
