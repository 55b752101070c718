"""What costs accuracy, in sentences."""

from __future__ import annotations

from mlhealth.records import Cost


def in_words(cost: Cost) -> str:
    """Return one sentence on a feature or segment that costs accuracy.

    >>> in_words(Cost("feature", "income", ("income",), "accuracy", 0.032))
    'had income kept its distribution, accuracy would be higher by 0.032'
    >>> in_words(Cost("segment", "region = north", ("region",), "accuracy", 0.02, 0.4, 0.1, 0.7, 0.72))
    'worst segment: region = north, 40 % of rows (was 10 %), accuracy about 0.700 there (was 0.720), costs 0.020'
    """
    worse = "lower" if cost.metric in {"mae", "rmse", "mse"} else "higher"
    if cost.kind == "feature":
        return f"had {cost.name} kept its distribution, {cost.metric} would be {worse} by {cost.cost:.3g}"
    text = f"worst segment: {cost.name}"
    if cost.share is not None and cost.reference_share is not None:
        text += f", {100 * cost.share:.0f} % of rows (was {100 * cost.reference_share:.0f} %)"
    if cost.value is not None and cost.reference_value is not None:
        text += f", {cost.metric} about {cost.value:.3f} there (was {cost.reference_value:.3f})"
    return f"{text}, costs {cost.cost:.3f}"
