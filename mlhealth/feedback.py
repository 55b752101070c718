"""Trust in pages: what people said of past ones, how many were worth it, and what a person may change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

FEWEST = 2
"""Useless pages of one kind that are worth a suggestion."""
PRECISE = 0.7
"""Share of useful pages among those judged from which nothing is suggested."""


class Verdict(StrEnum):
    """What a person says of a page."""

    USEFUL = "useful"
    NOT_HARM = "not harm"
    KNOWN = "known"
    WRONG_CAUSE = "wrong cause"


@dataclass(frozen=True)
class JudgedPage:
    """One firing that a person has judged. `loss`: what was estimated to be lost when it fired, where known."""

    fingerprint: str
    fired_at: int
    model: str
    version: str
    rule: str
    verdict: Verdict
    note: str = ""
    by: str = ""
    loss: float | None = None


@dataclass(frozen=True)
class Precision:
    """How many pages of a model there were, how many were judged, and how many of those were useful.

    `share` is useful of judged, None where none was judged. `useless`: by verdict.
    """

    model: str
    pages: int
    judged: int
    useful: int
    useless: dict[str, int]

    @property
    def share(self) -> float | None:
        """Share of useful pages among those judged."""
        return self.useful / self.judged if self.judged else None


@dataclass(frozen=True)
class Suggestion:
    """A change that a person may make: why, what to write or run, and where."""

    model: str
    why: str
    change: str


def precision(model: str, pages: int, judged: Sequence[JudgedPage]) -> Precision:
    """Return the precision of a model's past pages; a page called useful for the wrong cause still found harm.

    >>> found = [JudgedPage("f", 0, "m", "1", "EstimatedHarm", verdict) for verdict in Verdict]
    >>> told = precision("m", 6, found)
    >>> told.useful, told.judged, told.share
    (2, 4, 0.5)
    """
    counts = Counter(page.verdict for page in judged)
    useful = counts[Verdict.USEFUL] + counts[Verdict.WRONG_CAUSE]
    useless = {str(v): counts[v] for v in Verdict if v is not Verdict.USEFUL and counts[v]}
    return Precision(model, max(pages, len(judged)), len(judged), useful, useless)


def suggestions(found: Precision, judged: Sequence[JudgedPage], tolerance: float) -> list[Suggestion]:
    """Return what would have spared the useless pages. A person applies it, or not."""
    counts = Counter(page.verdict for page in judged)
    out: list[Suggestion] = []
    if found.share is not None and found.share < PRECISE and counts[Verdict.NOT_HARM] >= FEWEST:
        out.append(_tolerance(found, judged, tolerance))
        out.append(
            Suggestion(
                found.model,
                "the reference may no longer say what is normal",
                f"mlhealth baseline propose LABELLED_ROWS --model {found.model}",
            )
        )
    if counts[Verdict.KNOWN] >= FEWEST:
        rule = Counter(page.rule for page in judged if page.verdict is Verdict.KNOWN).most_common(1)[0][0]
        matchers = f"'model=\"{found.model}\"' 'rule=\"{rule}\"'"
        out.append(
            Suggestion(
                found.model,
                f"{counts[Verdict.KNOWN]} pages of {rule} told what was known already",
                f"mlhealth silence add {matchers} --for 8h --comment 'planned work'   # before it begins",
            )
        )
    if counts[Verdict.WRONG_CAUSE] >= FEWEST:
        out.append(
            Suggestion(
                found.model,
                f"{counts[Verdict.WRONG_CAUSE]} pages named a wrong cause",
                f"mlhealth label suggest --model {found.model} --window START --out rows.csv   # labels decide",
            )
        )
    return out


def _tolerance(found: Precision, judged: Sequence[JudgedPage], tolerance: float) -> Suggestion:
    spared = [p.loss for p in judged if p.verdict is Verdict.NOT_HARM and p.loss is not None]
    kept = [p.loss for p in judged if p.verdict is Verdict.USEFUL and p.loss is not None]
    wanted = max([1.25 * tolerance, *(1.1 * loss for loss in spared)])
    # Never so far that a page which was worth it would be lost.
    wanted = min([wanted, *(0.9 * loss for loss in kept)])
    why = f"{found.useless.get(str(Verdict.NOT_HARM), 0)} of {found.judged} judged pages were no harm"
    if wanted <= tolerance:
        return Suggestion(
            found.model, f"{why}, but as large losses were", f"models.{found.model}.false_alarms: 1 per 180d"
        )
    return Suggestion(found.model, why, f"models.{found.model}.tolerance: {wanted:.3f}   # now {tolerance:g}")
