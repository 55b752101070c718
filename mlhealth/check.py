"""A batch held against rules: which hold, which are broken, and the result as JUnit XML for a CI system."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from mlhealth.alerts.rules import RuleSet
from mlhealth.backtest import Outcome
from mlhealth.records import Alert

TOLD_ONLY = frozenset({"warning", "info"})
"""Severities that are reported and fail nothing."""


class Verdict(StrEnum):
    """What a rule says of a window; `unjudged`: it asks for something that the window does not have."""

    PASSED = "passed"
    WARNED = "warned"
    FAILED = "failed"
    UNJUDGED = "unjudged"


@dataclass(frozen=True)
class Checked:
    """One rule held against one window; `told` says why where it is not passed."""

    window: int
    span: str
    rule: str
    verdict: Verdict
    told: str = ""

    @property
    def fails(self) -> bool:
        """Whether the batch fails by it: a rule that could not be judged is no evidence that all is well."""
        return self.verdict in {Verdict.FAILED, Verdict.UNJUDGED}


def check(done: Iterable[Outcome], rules: RuleSet) -> list[Checked]:
    """Return every rule held against every window, in order; an alert counts while it fires."""
    found: list[Checked] = []
    firing: dict[tuple[str, str], Alert] = {}
    for outcome in done:
        for alert in outcome.resolved:
            firing.pop((alert.rule, alert.segment), None)
        firing |= {(alert.rule, alert.segment): alert for alert in outcome.fired}
        unjudged = {note.removeprefix("rule ").partition(": ")[0]: note for note in outcome.notes}
        for rule in rules.rules:
            alerts = [alert for (name, _), alert in firing.items() if name == rule.alert]
            found.append(_checked(outcome, rule.alert, alerts, unjudged.get(rule.alert)))
    return found


def _checked(outcome: Outcome, rule: str, alerts: Sequence[Alert], note: str | None) -> Checked:
    item = outcome.item
    span = f"{item.start} – {item.end}"
    if alerts:
        is_told_only = all(alert.severity in TOLD_ONLY for alert in alerts)
        told = "; ".join(_why(alert) for alert in alerts)
        return Checked(item.window, span, rule, Verdict.WARNED if is_told_only else Verdict.FAILED, told)
    if note is not None:
        return Checked(item.window, span, rule, Verdict.UNJUDGED, note)
    return Checked(item.window, span, rule, Verdict.PASSED)


def _why(alert: Alert) -> str:
    told = [alert.annotations[key] for key in ("summary", "description") if alert.annotations.get(key)]
    return ": ".join(told) or f"{alert.rule} fires"


def write_junit(checked: Sequence[Checked], suite: str, path: Path) -> None:
    """Write the result as JUnit XML: a test case for each rule and window."""
    failed = sum(c.verdict is Verdict.FAILED for c in checked)
    errors = sum(c.verdict is Verdict.UNJUDGED for c in checked)
    counts = {"tests": str(len(checked)), "failures": str(failed), "errors": str(errors), "skipped": "0"}
    root = Element("testsuites", {"name": "mlhealth check"} | counts)
    cases = SubElement(root, "testsuite", {"name": suite} | counts)
    for one in checked:
        case = SubElement(
            cases, "testcase", {"classname": f"{suite}.window {one.window} ({one.span})", "name": one.rule}
        )
        if one.verdict is Verdict.WARNED:
            SubElement(case, "system-out").text = _printable(one.told)
        elif one.fails:
            kind = "failure" if one.verdict is Verdict.FAILED else "error"
            told = _printable(one.told)
            SubElement(case, kind, {"message": told, "type": one.rule}).text = told
    indent(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def _printable(text: str) -> str:
    """Return `text` without characters that XML cannot hold."""
    return "".join(c if c.isprintable() or c in "\t\n" else "\ufffd" for c in text)
