"""Matchers, pauses and reactions to answers, for any input."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhealth.alerts.backoff import FIRST, LONGEST, wait
from mlhealth.alerts.matchers import Matcher
from mlhealth.alerts.notifiers.http import LONGEST_WAIT, Answer, Call, refusal, retry_after
from mlhealth.clock import SECOND
from mlhealth.errors import ConfigError, MlhealthError

NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,8}", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)


@given(NAMES, TEXTS, TEXTS)
def test_a_matcher_reads_what_it_writes(name: str, value: str, other: str) -> None:
    """`=` and `!=` are opposites for any text, and survive being written and read."""
    same, differs = Matcher(name, "=", value), Matcher(name, "!=", value)
    assert Matcher.parse(str(same)) == same
    labels = {name: other}
    assert same.matches(labels) is (value == other)
    assert same.matches(labels) is not differs.matches(labels)


@given(NAMES, TEXTS)
def test_expressions_are_anchored_and_opposites(name: str, value: str) -> None:
    """`=~` must match the whole label, and `!~` is its opposite."""
    some, none = Matcher.parse(f'{name}=~"a.*"'), Matcher.parse(f'{name}!~"a.*"')
    labels = {name: value}
    assert some.matches(labels) is (value.startswith("a") and "\n" not in value)
    assert some.matches(labels) is not none.matches(labels)


@given(st.text(max_size=60))
def test_no_text_breaks_the_reader(text: str) -> None:
    """Any text is a matcher or a mistake that is told."""
    with suppress(ConfigError):
        assert Matcher.parse(text).name


@given(st.integers(1, 1000), st.integers(0, 2**32 - 1))
def test_pauses_grow_to_a_limit(attempts: int, seed: int) -> None:
    """A pause is never negative, never over its ceiling, and the ceiling doubles up to five minutes."""
    pause = wait(attempts, None, np.random.default_rng(seed))
    assert 0 <= pause <= min(LONGEST, FIRST * 2 ** min(attempts - 1, 20))


@given(st.integers(1, 1000), st.floats(0, 3600), st.integers(0, 2**32 - 1))
def test_a_named_time_is_kept(attempts: int, seconds: float, seed: int) -> None:
    """What the receiver asked for is waited for, and at most a tenth more."""
    pause = wait(attempts, seconds, np.random.default_rng(seed))
    assert seconds * SECOND - 1 <= pause <= 1.1 * seconds * SECOND + 1


@given(st.text(max_size=40))
def test_any_retry_after_is_a_time_or_nothing(text: str) -> None:
    """Whatever a header says, the wait is between nothing and an hour."""
    pause = retry_after({"retry-after": text})
    assert pause is None or 0 <= pause <= LONGEST_WAIT


@pytest.mark.parametrize("text", ["nan", "inf", "-5", "Wed, 21 Oct 2015 07:28:00 GMT", "1e400"])
def test_odd_times_are_harmless(text: str) -> None:
    """Infinite, negative and past times do not stop delivery."""
    pause = retry_after({"retry-after": text})
    assert pause is None or 0 <= pause <= LONGEST_WAIT


@given(st.integers(300, 599), st.binary(max_size=50), st.text(max_size=20))
def test_every_answer_means_something_in_one_line(status: int, body: bytes, location: str) -> None:
    """Any answer outside 2xx becomes an error of one line, whatever is in it."""
    answer = Answer(status, {"content-type": "text/plain", "location": location}, body)
    error = refusal(Call("http://user:secret@host/path"), answer)
    assert isinstance(error, MlhealthError)
    assert "\n" not in str(error)
    assert "secret" not in str(error).replace(body.decode("utf-8", "replace"), "")
