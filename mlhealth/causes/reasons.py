"""Why the health score is what it is, in plain sentences, most important first.

A reader of the first of these sentences alone should know where to look and whom to call.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlhealth.causes.costs_words import in_words
from mlhealth.causes.owners import whom_to_call
from mlhealth.detectors.cells import SCORE
from mlhealth.detectors.quality import describe, severe
from mlhealth.detectors.window_faults import DELIVERY, told
from mlhealth.profile.window_profile import PREDICTED
from mlhealth.records import (
    Cause,
    ColumnFault,
    Cost,
    DetectorResult,
    EstimateStatus,
    FeatureQuality,
    LabelReport,
    PerformanceEstimate,
    Reason,
)

SHOWN = 3
"""At most so many features are named of each kind."""


@dataclass(frozen=True)
class Evidence:
    """What is known of one window when its reasons are written.

    `since`: by column, in words, when the present run of windows began in which it is at fault.
    """

    metric: str
    estimate: PerformanceEstimate | None
    cause: Cause | None
    drift: Mapping[str, DetectorResult]
    quality: Mapping[str, FeatureQuality]
    realized: Mapping[str, float]
    labels: LabelReport | None = None
    faults: tuple[ColumnFault, ...] = ()
    costs: tuple[Cost, ...] = ()
    whole: tuple[DetectorResult, ...] = ()
    since: Mapping[str, str] = field(default_factory=dict)


def reasons(evidence: Evidence) -> tuple[Reason, ...]:
    """Return the reasons of one window's score, most important first."""
    faults = _faults(evidence)
    headline = _headline(evidence, faults)
    further = [fault for fault in faults[:SHOWN] if not headline.text.startswith(fault.text)]
    seen = _labels(evidence)
    first = [*seen, headline] if evidence.cause is Cause.MODEL_WRONG else [headline, *seen]
    return (*first, *_owner(evidence), *further, *_whole(evidence), *_drifted(evidence), *_costs(evidence))


def _owner(evidence: Evidence) -> list[Reason]:
    cause = evidence.cause
    return [] if cause is None else [Reason(f"{cause}, a case for {whom_to_call(cause)}", None, cause)]


def _headline(evidence: Evidence, faults: list[Reason]) -> Reason:
    estimate = evidence.estimate
    if estimate is None or estimate.value is None:
        why = "no method could answer" if estimate is None else (estimate.note or "no method could answer")
        return Reason(f"{evidence.metric} cannot be estimated here: {why}", None, evidence.cause)
    parts = [_shift(estimate), _now(estimate)]
    if faults and evidence.cause is Cause.BROKEN_INPUT:
        return Reason(_joined([faults[0].text, *parts]), faults[0].feature, evidence.cause)
    return Reason(_joined(parts), None, evidence.cause)


def _joined(parts: Sequence[str]) -> str:
    return "; ".join(part for part in parts if part)


def _shift(estimate: PerformanceEstimate) -> str:
    """Return what an explanation says of the traffic: all but the faults, which are told as such."""
    text = estimate.explanation or ""
    for fault in estimate.faults:
        text = text.replace(fault.text, "")
    return _joined([clause.strip() for clause in text.split("; ")])


def _now(estimate: PerformanceEstimate) -> str:
    """Return the estimate in words.

    >>> _now(PerformanceEstimate("accuracy", 0.714, 0.67, 0.75, EstimateStatus.OK, "mpp", 0.88))
    'accuracy now about 0.71 ± 0.04, was 0.88'
    """
    value = estimate.value or 0.0
    if estimate.lower is None or estimate.upper is None:
        return f"{estimate.metric} now about {value:.3g}"
    half = (estimate.upper - estimate.lower) / 2.0
    digits = _decimals(half)
    text = f"{estimate.metric} now about {value:.{digits}f} ± {half:.{digits}f}"
    if estimate.reference is not None:
        text += f", was {estimate.reference:.{digits}f}"
    if estimate.status is EstimateStatus.OUT_OF_SUPPORT:
        text += "; the window has left what the reference data can speak for"
    return text


def _decimals(half: float) -> int:
    """Return how many decimals a number deserves whose error is `half`.

    >>> [_decimals(h) for h in (0.04, 0.008, 0.3, 12.0, 0.0)]
    [2, 3, 2, 0, 4]
    """
    if half <= 0.0:
        return 4
    lead = -math.floor(math.log10(half))
    return max(lead, 2) if half < 1.0 else max(lead + 1, 0)


def _labels(evidence: Evidence) -> list[Reason]:
    if evidence.labels is not None:
        return [Reason(_said(evidence, evidence.labels), None, evidence.cause)]
    realized = evidence.realized.get(evidence.metric)
    if realized is None:
        return []
    text = f"labels that came say {evidence.metric} is {realized:.3g}"
    return [Reason(text + _unexplained(evidence), None, evidence.cause)]


def _said(evidence: Evidence, labels: LabelReport) -> str:
    """Return what late or few labels say, with how sure they are of it."""
    which = f"labels of {labels.labelled:,} of {labels.kept:,} kept rows"
    seen = labels.estimates.get(evidence.metric)
    if seen is None or seen.value is None or seen.lower is None or seen.upper is None:
        why = labels.note or (seen.note if seen is not None else None)
        return f"{which} say nothing about {evidence.metric}" + (f": {why}" if why else "")
    digits = _decimals((seen.upper - seen.lower) / 2.0)
    text = f"{which} say {evidence.metric} is {seen.value:.{digits}f}"
    if seen.upper > seen.lower:
        text += f" ({seen.lower:.{digits}f} to {seen.upper:.{digits}f})"
    return text + _unexplained(evidence)


def _unexplained(evidence: Evidence) -> str:
    if evidence.cause is not Cause.MODEL_WRONG:
        return ""
    return ", which the inputs do not explain: the relation of inputs to labels has changed"


def _faults(evidence: Evidence) -> list[Reason]:
    """Return each broken column's fault, in the words of its kind where that is known."""
    told = {fault.column for fault in evidence.faults}
    texts = {_since(fault.text, fault.column, evidence): fault.column for fault in reversed(evidence.faults)}
    named = [Reason(text, column, Cause.BROKEN_INPUT) for text, column in reversed(texts.items())]
    broken = [(name, q) for name, q in evidence.quality.items() if q.faults and name not in told]
    broken.sort(key=lambda item: (not severe(item[1]), -_badness(item[1]), item[0]))
    further = [(name, _since(describe(name, q), name, evidence)) for name, q in broken]
    return [*named, *(Reason(text, name, Cause.BROKEN_INPUT) for name, text in further)]


def _since(text: str, column: str, evidence: Evidence) -> str:
    return f"{text} since {evidence.since[column]}" if column in evidence.since else text


def _whole(evidence: Evidence) -> list[Reason]:
    """Return what was found in the window as a whole, and in the series of windows."""
    ordered = sorted(evidence.whole, key=lambda r: (r.detector not in DELIVERY, r.detector, r.feature or ""))
    return [Reason(told(result), result.feature, evidence.cause) for result in ordered[:SHOWN]]


def _costs(evidence: Evidence) -> list[Reason]:
    """Return what costs accuracy: the dearest feature and the worst segment."""
    found = []
    for kind in ("feature", "segment"):
        dearest = next((cost for cost in evidence.costs if cost.kind == kind), None)
        if dearest is not None:
            found.append(Reason(in_words(dearest), dearest.features[0], evidence.cause))
    return found


def _badness(found: FeatureQuality) -> float:
    return max(found.missing, found.unseen, found.out_of_range, found.non_finite)


def _drifted(evidence: Evidence) -> list[Reason]:
    drifted = [r for r in evidence.drift.values() if r.drifted and r.feature is not None]
    # Outputs come last: that they drift is a consequence.
    drifted.sort(key=lambda r: (r.feature in (PREDICTED, SCORE), -(r.effect or 0.0), r.feature or ""))
    named = [
        Reason(f"{_drifting(r.feature or '')} ({_measure(r)})", r.feature, evidence.cause)
        for r in drifted[:SHOWN]
    ]
    if len(drifted) > SHOWN:
        named.append(Reason(f"{len(drifted) - SHOWN} more columns have drifted", None, evidence.cause))
    return named


def _drifting(column: str) -> str:
    if column == PREDICTED:
        return "the predictions have drifted"
    return "the scores have drifted" if column == SCORE else f"{column} has drifted"


def _measure(result: DetectorResult) -> str:
    name = result.detector.replace("_", "-")
    if result.statistic is None or result.threshold is None:
        return name
    return f"{name} {result.statistic:.2f}, expected at most {result.threshold:.2f}"
