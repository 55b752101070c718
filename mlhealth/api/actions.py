"""What a person can do about an alert or a retraining request; every act is in the audit trail under their name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mlhealth.alerts.matchers import Matcher
from mlhealth.alerts.retraining.follower import report_progress
from mlhealth.alerts.retraining.progress import progress_of
from mlhealth.api.access import Caller, Forbidden
from mlhealth.api.services import Services
from mlhealth.baseline.record import Baseline
from mlhealth.clock import from_iso, parse_duration
from mlhealth.errors import NotFoundError
from mlhealth.feedback import Verdict
from mlhealth.queries.alerts import AlertQueries, names_only
from mlhealth.store import acknowledge, baselines, feedback, proposals, retraining, silences
from mlhealth.versions.promotion import Hand, Promotion

LONGEST = 500
"""Characters of a note or comment that are kept."""


@dataclass(frozen=True)
class When:
    """From `start` (ISO 8601; None is now) for so long; `hours`: only in these hours of the week."""

    duration: str
    start: str | None = None
    hours: str | None = None


@dataclass(frozen=True)
class Actions:
    """The acts of one caller."""

    parts: Services
    caller: Caller

    def acknowledge(self, fingerprint: str, note: str = "") -> None:
        """Take a firing alert into one's hands; raises NotFoundError or ConflictError."""
        self._check_alert(fingerprint)
        with self.parts.queries.database.begin() as connection:
            acknowledge.acknowledge(connection, fingerprint, self.caller.name, note[:LONGEST], self._now)

    def call_useless(self, fingerprint: str, note: str, verdict: Verdict = Verdict.NOT_HARM) -> None:
        """Leave word that an alert should not have paged; raises NotFoundError, ConflictError."""
        self.judge_page(fingerprint, verdict, note)

    def judge_page(self, fingerprint: str, verdict: Verdict, note: str) -> None:
        """Say what the last page of an alert was worth; raises NotFoundError, ConflictError."""
        self._check_alert(fingerprint)
        with self.parts.queries.database.begin() as connection:
            feedback.judge(connection, fingerprint, verdict, (self.caller.name, note[:LONGEST]), self._now)

    def push_baseline(self, baseline: Baseline, *, activate: bool) -> bool:
        """Store a baseline, and let it speak if asked; returns whether it does now. Raises Forbidden."""
        self.caller.check(baseline.schema.model)
        with self.parts.queries.database.begin() as connection:
            name = baselines.push(connection, baseline, self._now)
            if activate and not baselines.is_active(connection, name):
                baselines.activate(connection, name, self._now, by=self.caller.name)
            return baselines.is_active(connection, name)

    def approve_baseline(self, name: str, window: int) -> None:
        """Let a proposed baseline speak; raises NotFoundError, ConflictError, Forbidden."""
        with self.parts.queries.database.begin() as connection:
            self.caller.check(proposals.get(connection, name).model)
            proposals.approve(connection, name, self.caller.name, self._now, window=window)

    def reject_baseline(self, name: str, reason: str) -> None:
        """Refuse a proposed baseline; raises NotFoundError, ConflictError, Forbidden."""
        with self.parts.queries.database.begin() as connection:
            self.caller.check(proposals.get(connection, name).model)
            proposals.reject(connection, name, self.caller.name, reason[:LONGEST], self._now)

    def silence(self, matchers: list[str], when: When, comment: str) -> str:
        """Hold back the alerts that meet all matchers; returns the silence's id, raises ConfigError."""
        parsed = tuple(Matcher.parse(text) for text in matchers)
        if not names_only([str(matcher) for matcher in parsed], self.caller.models):
            raise Forbidden(
                f'the token {self.caller.name!r} is for some models only: match one, as in model="NAME"'
            )
        now = self._now
        begins = now if when.start is None else from_iso(when.start)
        ends = begins + parse_duration(when.duration)
        wanted = silences.NewSilence(parsed, begins, ends, self.caller.name, comment[:LONGEST], when.hours)
        with self.parts.queries.database.begin() as connection:
            return silences.add(connection, wanted, now).id

    def expire(self, silence: str) -> None:
        """End a silence now; raises NotFoundError."""
        if self.caller.models and all(known.id != silence for known in self._queries.silences(self._now)):
            raise NotFoundError(f"there is no silence {silence}")
        with self.parts.queries.database.begin() as connection:
            silences.expire(connection, silence, self.caller.name, self._now)

    def approve(self, request: str) -> None:
        """Let a retraining request go out; raises NotFoundError or ConflictError."""
        self._check_request(request)
        with self.parts.queries.database.begin() as connection:
            retraining.approve(connection, request, self.caller.name, self._now)

    def reject(self, request: str, reason: str) -> None:
        """Refuse a retraining request; raises NotFoundError or ConflictError."""
        self._check_request(request)
        with self.parts.queries.database.begin() as connection:
            retraining.reject(connection, request, self.caller.name, reason[:LONGEST], self._now)

    def promote(self, model: str, version: str, note: str) -> None:
        """Make a version the champion; raises NotFoundError, ConflictError, Forbidden."""
        self.caller.check(model)
        self._promotion.promote(model, version, Hand(self.caller.name, note[:LONGEST]))

    def roll_back(self, model: str, note: str) -> None:
        """Make the champion before the present one the champion again; raises ConflictError, Forbidden."""
        self.caller.check(model)
        self._promotion.roll_back(model, Hand(self.caller.name, note[:LONGEST]))

    def job_progress(self, request: str, told: Mapping[str, object]) -> None:
        """Note how a training job does; raises NotFoundError, or PermanentError where the words mean nothing."""
        self._check_request(request)
        progress = progress_of(told)
        with self.parts.queries.database.begin() as connection:
            report_progress(connection, request, progress, self._now)

    @property
    def _promotion(self) -> Promotion:
        return Promotion(self.parts.queries.database, self.parts.models, self.parts.clock)

    @property
    def _queries(self) -> AlertQueries:
        return self.parts.queries.within(self.caller.models).alerts

    def _check_alert(self, fingerprint: str) -> None:
        if not any(line.alert.fingerprint == fingerprint for line in self._queries.current()):
            raise NotFoundError(f"there is no alert {fingerprint}")

    def _check_request(self, request: str) -> None:
        """Raise NotFoundError for a retraining request of a model that the caller has nothing to do with."""
        if not self.caller.models:
            return
        known = self._queries.retrainings(limit=10_000)
        if all(line.request.id != request for line in known):
            raise NotFoundError(f"there is no retraining request {request}")

    @property
    def _now(self) -> int:
        return self.parts.clock.now()
