"""Windows that were revised, and all that follow them, folded again: only differences are told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from mlhealth.alerts.context import Circumstances
from mlhealth.alerts.engine import Step, Told, refold
from mlhealth.alerts.rules import RuleSet
from mlhealth.records import WindowReport
from mlhealth.store import closing as store
from mlhealth.store.closing import ModelVersion
from mlhealth.worker.folding import Carried, LimitsOf, fold, judge


@dataclass(frozen=True)
class Folded:
    """Reports as judged, what the rules made of them, and the state after each, by its end.

    `rewritten`: the next revisions of later windows whose verdict has changed by it, every report of each.
    """

    reports: Sequence[WindowReport]
    steps: Sequence[Step]
    states: Mapping[int, object]
    rewritten: Sequence[WindowReport] = ()


def refolded(
    connection: Connection,
    name: ModelVersion,
    revised: Sequence[WindowReport],
    rules: RuleSet,
    limits: LimitsOf,
) -> Folded:
    """Return revised reports, in order of time, judged again, and what changed for the alerts by them.

    Where the state before the first of them is no longer kept, folding begins there anew.
    """
    if not revised:
        return Folded((), (), {})
    before = Carried.from_data(store.state_before(connection, name, revised[0].key.end))
    told = Carried.from_data(store.state_before(connection, name, 2**62))
    following: list[WindowReport] = []
    stored: list[WindowReport] = []
    state = before
    states: dict[int, object] = {}
    under: dict[int, Circumstances] = {}
    for report in _with_what_follows(connection, name, revised):
        end = report.key.end
        stood = Carried.from_data(store.state_after(connection, name, end))
        under[end] = stood.circumstances
        judged, ledger = judge([report], state.ledger, limits)
        _, after = fold(rules, judged, state.rules, stood.circumstances)
        state = replace(stood, rules=after, ledger=ledger)
        states[end] = state.to_data()
        following += judged
        stored.append(report)
    done = refold(rules, following, Told(before.rules, told.rules, under))
    states[following[-1].key.end] = replace(state, rules=done.state).to_data()
    keys = {report.key for report in revised}
    later = rewritten([pair for pair in zip(stored, following, strict=True) if pair[0].key not in keys])
    return Folded([report for report in following if report.key in keys], [done], states, later)


def rewritten(pairs: Sequence[tuple[WindowReport, WindowReport]]) -> list[WindowReport]:
    """Return the next revisions of windows in which any verdict is now another; `pairs` are as stored, as judged now.

    A change of the evidence alone, which no reader would notice, makes no revision.
    """
    changed = {new.key.start for old, new in pairs if _verdict(old) != _verdict(new)}
    return [replace(new, revision=old.revision + 1) for old, new in pairs if new.key.start in changed]


def _verdict(report: WindowReport) -> tuple[object, ...]:
    return report.health.status, report.health.cause, tuple(reason.text for reason in report.health.reasons)


def _with_what_follows(
    connection: Connection, name: ModelVersion, revised: Sequence[WindowReport]
) -> list[WindowReport]:
    known = {report.key.start for report in revised}
    later = store.latest_reports(connection, name, revised[0].key.start)
    found = [*revised, *(report for report in later if report.key.start not in known)]
    return sorted(found, key=lambda report: report.key.start)
