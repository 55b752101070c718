"""What people say of pages: counted into precision, turned into suggestions, never into a moved threshold."""

from __future__ import annotations

from mlhealth.feedback import JudgedPage, Verdict, precision, suggestions


def pages(*verdicts: Verdict, loss: float | None = None) -> list[JudgedPage]:
    """Return judged pages of one model."""
    return [JudgedPage(f"f{i}", i, "m", "1", "EstimatedHarm", v, loss=loss) for i, v in enumerate(verdicts)]


def test_no_suggestion_while_pages_are_worth_it() -> None:
    """A single useless page among useful ones suggests nothing."""
    judged = pages(Verdict.USEFUL, Verdict.USEFUL, Verdict.USEFUL, Verdict.NOT_HARM)
    found = precision("m", 9, judged)
    assert (found.pages, found.judged, found.share) == (9, 4, 0.75)
    assert suggestions(found, judged, 0.05) == []


def test_harmless_pages_suggest_a_tolerance_that_spares_them() -> None:
    """Pages that were no harm suggest a tolerance just beyond their losses, and a refreshed baseline."""
    judged = pages(Verdict.NOT_HARM, Verdict.NOT_HARM, loss=0.07)
    found = suggestions(precision("m", 2, judged), judged, 0.05)
    assert found[0].change.startswith("models.m.tolerance: 0.077")
    assert found[1].change.startswith("mlhealth baseline propose")


def test_no_tolerance_hides_a_page_that_was_worth_it() -> None:
    """Where a useful page lost less than the harmless ones, a rarer budget is suggested, not a wider tolerance."""
    judged = [*pages(Verdict.NOT_HARM, Verdict.NOT_HARM, loss=0.09), *pages(Verdict.USEFUL, loss=0.05)]
    found = suggestions(precision("m", 3, judged), judged, 0.05)
    assert "false_alarms" in found[0].change


def test_known_pages_suggest_a_silence_and_wrong_causes_labels() -> None:
    """Each reason why a page was useless leads to its own suggestion."""
    known = pages(Verdict.KNOWN, Verdict.KNOWN)
    assert "mlhealth silence add" in suggestions(precision("m", 2, known), known, 0.05)[0].change
    wrong = pages(Verdict.WRONG_CAUSE, Verdict.WRONG_CAUSE)
    found = precision("m", 2, wrong)
    assert found.share == 1.0
    assert "mlhealth label suggest" in suggestions(found, wrong, 0.05)[0].change
