"""Whether a challenger takes over, by its comparison with the champion alone: a pure decision, with its reason.

The interval of a comparison's mean does not shrink with the number of windows (versions err the same way in each), so
that many windows cannot make a small difference certain; they only make sure that it lasts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from mlhealth.config.promotion import PromotionConfig
from mlhealth.records import HealthStatus
from mlhealth.versions.comparison import BETTER, Comparison, Difference

_UNFIT = (HealthStatus.CRITICAL, HealthStatus.UNKNOWN)


@dataclass(frozen=True)
class Challenge:
    """A challenger beside the champion. `status`: its newest window's; `was_champion`: at any time before.

    `higher`: more of the primary metric is better.
    """

    comparison: Comparison
    status: HealthStatus
    was_champion: bool
    higher: bool


@dataclass(frozen=True)
class Decision:
    """What becomes of a challenger, and why, in words; `lead` is what it surely is better by."""

    kind: Literal["promote", "rollback", "stay"]
    reason: str
    lead: float = 0.0


def decide(policy: PromotionConfig, challenge: Challenge) -> Decision:
    """Return whether the challenger becomes the champion."""
    found = challenge.comparison
    kind: Literal["promote", "rollback"] = "rollback" if challenge.was_champion else "promote"
    if not (policy.rollback if challenge.was_champion else policy.promote):
        return Decision("stay", f"the policy does not {'roll back' if challenge.was_champion else 'promote'}")
    if len(found.windows) < policy.windows:
        return Decision("stay", f"{len(found.windows)} of {policy.windows} common windows have closed")
    difference = found.metrics.get(found.metric)
    if found.verdict != BETTER or difference is None:
        return Decision("stay", f"{found.verdict} by {found.metric}")
    if challenge.status in _UNFIT:
        return Decision("stay", f"better by {found.metric}, but its own health is {challenge.status}")
    lead = _lead(difference, higher=challenge.higher)
    if lead <= policy.margin:
        return Decision("stay", f"surely better by {lead:.3g} only, the policy asks for {policy.margin:g}")
    return Decision(kind, words(found, difference), lead)


def words(found: Comparison, difference: Difference) -> str:
    """Return a comparison in one line."""
    theirs = f"{difference.challenger:.3f} of version {found.challenger}"
    both = f"{theirs} against {difference.champion:.3f} of {found.champion}"
    between = (
        ""
        if difference.lower is None or difference.upper is None
        else f" (difference {difference.lower:+.3f} to {difference.upper:+.3f})"
    )
    name = found.metric.replace("_", " ")
    return f"estimated {name} {both}{between} on {len(found.windows)} common windows"


def _lead(difference: Difference, *, higher: bool) -> float:
    """Return the end of the interval that is nearer to no difference, positive where the challenger is better."""
    assert difference.lower is not None
    assert difference.upper is not None
    return difference.lower if higher else -difference.upper
