"""How long the store keeps what; `retention:` of mlhealth.yaml."""

from __future__ import annotations

from mlhealth.clock import DAY
from mlhealth.config.strict_model import Duration, Strict


class RetentionConfig(Strict):
    """For how long the store keeps what, counted back from the event time a model has reached; `null` is for ever.

    `samples`: of windows, for late labels (never shorter than their horizon). `windows`: the profile of each window;
    older ones are merged into days. `days`: those. `reports`: window reports with all their revisions. `rejections`:
    where events lie that could not be used, and dead letters of the inbox, by wall time.
    """

    samples: Duration | None = 35 * DAY
    windows: Duration | None = 90 * DAY
    days: Duration | None = None
    reports: Duration | None = None
    rejections: Duration | None = 30 * DAY
