"""A backfill from table to reports: profile on an engine, checkpoint each stretch, then judge there and close in order.

A stretch is to the store what a partition with one message is: profiled once, its offset moved with its profiles in
one transaction. So a backfill that was killed goes on where it stood, and one that is run twice does nothing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from mlhealth.alerts.rules import RuleSet
from mlhealth.backfill.engines.base import Engine
from mlhealth.backfill.judging import SpreadJudging
from mlhealth.backfill.profiling import Profiler, Recipe, StretchProfiles
from mlhealth.backfill.stretches import STRETCH_ROWS, Stretch, contents, stretches
from mlhealth.backfill.tables.base import Piece
from mlhealth.baseline.files import to_bytes
from mlhealth.clock import Clock
from mlhealth.config.service import Config
from mlhealth.errors import ConfigError
from mlhealth.events.messages import Partition
from mlhealth.records import WindowReport
from mlhealth.store import checkpoints
from mlhealth.store.checkpoints import Advance, Checkpoint, Count, PartialKey, Seen
from mlhealth.store.closing import ModelVersion, snapshot
from mlhealth.store.database import Database
from mlhealth.worker.closing import Closer, Idleness
from mlhealth.worker.judging import Judging
from mlhealth.worker.models import Models, Runtime

OWNER = "backfill"
Told = Callable[[str, float], None]
"""Told of the step, and of the share of it that is done, 0 to 1."""


@dataclass(frozen=True)
class Place:
    """Where a backfill writes: the store, its configuration, the rules (which take notes only), the clock."""

    database: Database
    config: Config
    rules: RuleSet
    clock: Clock


@dataclass
class Summary:
    """What a backfill did.

    `stretches`: of the table; `skipped`: those an earlier run had done. `outcomes`: rows accepted, rejected (`reasons`
    has their reasons) and late, in windows that were closed before. `reports`: those written.
    """

    stretches: int = 0
    skipped: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    reports: list[WindowReport] = field(default_factory=list)


class Backfill:
    """One table for one model version."""

    def __init__(self, pieces: Sequence[Piece], name: ModelVersion, place: Place) -> None:
        """Raises ConfigError where no baseline speaks for the model version, or its schema has no event times."""
        self._name = name
        self._place = place
        self._models = Models(place.database, _complete(place.config, name[0]))
        self._models.refresh()
        self._runtime = self._timed()
        self._work = stretches(pieces, STRETCH_ROWS)
        self._topic = f"backfill:{contents(pieces)}:{self._runtime.baseline.hash[:16]}"
        self.summary = Summary(len(self._work))

    def run(self, engine: Engine, told: Told = lambda step, done: None) -> Summary:
        """Do what is left to do, on an engine that was started; raises DataError where a piece cannot be read."""
        done = snapshot(self._place.database).offsets.keys()
        todo = [stretch for stretch in self._work if self._partition(stretch) not in done]
        self.summary.skipped = len(self._work) - len(todo)
        self._profile(todo, engine, told)
        self._close(engine, told)
        return self.summary

    def _timed(self) -> Runtime:
        runtime = self._models.newest(*self._name)
        if runtime is None:
            model, version = self._name
            raise ConfigError(f"no baseline speaks for model {model} version {version}: push one first")
        if runtime.baseline.schema.timestamp is None:
            raise ConfigError(
                "the baseline's schema has no columns.timestamp: windows of the past need event times"
            )
        return runtime

    def _partition(self, stretch: Stretch) -> Partition:
        return Partition(self._topic, stretch.number)

    def _profile(self, todo: Sequence[Stretch], engine: Engine, told: Told) -> None:
        total = max(sum(stretch.rows for stretch in todo), 1)
        finished = 0
        for number, found in engine.run(Profiler(self._recipe), todo):
            self._save(found)
            finished += todo[number].rows
            told("profiling", finished / total)

    def _save(self, found: StretchProfiles) -> None:
        partition, now = Partition(self._topic, found.number), self._place.clock.now()
        seen = [] if found.latest is None else [Seen(*self._name, partition, found.latest, now)]
        counts = [Count(partition, *self._name, outcome, rows) for outcome, rows in found.outcomes.items()]
        checkpoint = Checkpoint(OWNER, now, [Advance(partition, None, 1)], found.partials, seen, counts)
        rows = {partial.key: partial.rows for partial in found.partials if not partial.key.segment}

        def late(refused: Collection[PartialKey]) -> Iterable[Count]:
            late_rows = sum(rows.get(key, 0) for key in refused)
            return [
                Count(partition, *self._name, "accepted", -late_rows),
                Count(partition, *self._name, "late", late_rows),
            ]

        saved = checkpoints.save(self._place.database, checkpoint, late=late)
        if saved.lost:
            return
        self.summary.outcomes.update(found.outcomes)
        self.summary.reasons.update(found.reasons)
        late_rows = sum(rows.get(key, 0) for key in saved.refused)
        self.summary.outcomes.update({"accepted": -late_rows, "late": late_rows})

    @cached_property
    def _recipe(self) -> Recipe:
        return Recipe(to_bytes(self._runtime.baseline), self._runtime.config, self._topic)

    def _close(self, engine: Engine, told: Told) -> None:
        """Close every window: with all stretches done, nothing earlier can follow."""
        waiting = list(snapshot(self._place.database).models[self._name].windows.panes)
        if not waiting:
            return
        self._end_time(max(waiting) + self._runtime.spec.size)
        ends = {self._partition(stretch): 1 for stretch in self._work}
        closer = Closer(
            self._place.database, self._models, self._noting, Idleness(lambda: ends, 0), self._judging(engine)
        )
        asked = 0

        def count() -> bool:
            nonlocal asked
            told("evaluating", min(asked / len(waiting), 1.0))
            asked += 1
            return False

        is_done = False
        while not is_done:  # labels or forgotten events that come meanwhile cut a round short
            round_ = closer.close(self._place.clock.now(), count)
            self.summary.reports += [report for closed in round_ for report in closed.reports]
            is_done = all(closed.is_done for closed in round_ if closed.name == self._name)

    def _judging(self, engine: Engine) -> Judging:
        """Return what judges the windows: the engine, unless a live scorer is asked, which workers may not reach."""
        if self._runtime.config.scorer is not None:
            return Judging(self._models)
        return SpreadJudging(self._models, engine, self._recipe, self._runtime.baseline.hash)

    def _end_time(self, end: int) -> None:
        """Let event time have reached `end` in every stretch."""
        now = self._place.clock.now()
        marks = [Seen(*self._name, self._partition(stretch), end, now) for stretch in self._work]
        checkpoints.save(self._place.database, Checkpoint(OWNER, now, (), (), marks))

    def _noting(self) -> RuleSet:
        """The rules as history keeps them: nobody is told of the past, and nothing is trained for it."""
        silent: dict[str, object] = {"notify": [], "retrain": None}
        return RuleSet(tuple(rule.model_copy(update=silent) for rule in self._place.rules.rules))


def _complete(config: Config, model: str) -> Config:
    """Return the configuration of a model whose log is complete: nothing can come late, so every window is final."""
    settled = config.model(model).model_copy(update={"lateness": 0})
    return config.model_copy(update={"models": {**config.models, model: settled}})
