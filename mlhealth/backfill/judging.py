"""Windows judged on an engine's workers, some ahead of the one that is closed next."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mlhealth.backfill.engines.base import Engine
from mlhealth.backfill.profiling import Recipe, runtime_of
from mlhealth.store.closing import Outcome
from mlhealth.threads import single_threaded
from mlhealth.window_plan import Due
from mlhealth.worker.judging import Judging, Question, judge
from mlhealth.worker.models import Models

AHEAD_BYTES = 64 * 1024 * 1024
"""Profiles given to an engine in one run: they and their answers wait in memory until their window's turn."""


@dataclass(frozen=True)
class Judge:
    """The task of a worker: one window's question to its outcomes."""

    recipe: Recipe

    def __call__(self, question: Question) -> list[Outcome]:
        """Return the outcomes, by the recipe's baseline, which is the only one that the question names."""
        runtime = runtime_of(self.recipe)
        with single_threaded():
            return judge(question, lambda _: runtime)


class SpreadJudging(Judging):
    """Judges on an engine. What the store says meanwhile wins: a question that has changed is judged again, here."""

    def __init__(self, models: Models, engine: Engine, recipe: Recipe, baseline: str) -> None:
        super().__init__(models)
        self._engine = engine
        self._task = Judge(recipe)
        self._baseline = baseline
        self._coming: Iterator[tuple[Question, Sequence[Outcome]]] = iter(())
        self._judged: dict[Due, tuple[Question, Sequence[Outcome]]] = {}

    def expect(self, questions: Iterable[Question]) -> None:
        """Let the engine judge these, as they are asked for."""
        self._coming = self._spread(question for question in questions if self._is_own(question))
        self._judged = {}

    def outcomes(self, question: Question) -> Sequence[Outcome]:
        """Return the outcomes of a window, and wait for those of windows before it."""
        while self._is_own(question) and question.due not in self._judged:
            found = next(self._coming, None)
            if found is None:
                break
            self._judged[found[0].due] = found
        asked, answer = self._judged.pop(question.due, (None, ()))
        return answer if asked == question else super().outcomes(question)

    def _is_own(self, question: Question) -> bool:
        return question.baselines == (self._baseline,)

    def _spread(self, questions: Iterable[Question]) -> Iterator[tuple[Question, Sequence[Outcome]]]:
        for group in _groups(questions):
            for number, outcomes in self._engine.run(self._task, group):
                yield group[number], outcomes


def _groups(questions: Iterable[Question]) -> Iterator[list[Question]]:
    """Yield consecutive questions, as many as may wait in memory, at least one at a time."""
    group: list[Question] = []
    held = 0
    for question in questions:
        size = sum(len(part.profile) for part in question.parts)
        if group and held + size > AHEAD_BYTES:
            yield group
            group, held = [], 0
        group.append(question)
        held += size
    if group:
        yield group
