"""Matchers as Alertmanager writes them: `severity="page"`, `model!="x"`, `rule=~"Input.*"`, `team!~"a|b"`.

Regular expressions are anchored at both ends. A label that is not there counts as empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from mlhealth.errors import ConfigError

_SHAPE = re.compile(r'\s*([A-Za-z_][A-Za-z0-9_]*)\s*(=~|!~|!=|=)\s*(?:"((?:[^"\\]|\\.)*)"|([^"\s]*))\s*')
LONGEST_PATTERN = 500


@dataclass(frozen=True)
class Matcher:
    """One condition on one label."""

    name: str
    operator: str
    value: str

    @classmethod
    def parse(cls, text: str) -> Matcher:
        """Read a matcher; raises ConfigError saying how one is written.

        >>> Matcher.parse('model=~"loan-.*"').matches({"model": "loan-default"})
        True
        """
        shape = _SHAPE.fullmatch(text)
        if shape is None:
            raise ConfigError(
                f'matcher {text!r} is not understood; write it like model="loan" or rule=~"Input.*"'
            )
        quoted = shape[3]
        value = re.sub(r"\\(.)", r"\1", quoted) if quoted is not None and "~" not in shape[2] else quoted
        matcher = cls(shape[1], shape[2], value if value is not None else shape[4])
        matcher.check()
        return matcher

    def check(self) -> None:
        """Raise ConfigError where the regular expression is none, or too long."""
        if "~" not in self.operator:
            return
        if len(self.value) > LONGEST_PATTERN:
            raise ConfigError(
                f"matcher on {self.name}: the expression is longer than {LONGEST_PATTERN} characters"
            )
        try:
            re.compile(self.value)
        except re.error as error:
            raise ConfigError(
                f"matcher on {self.name}: {self.value!r} is no regular expression: {error}"
            ) from None

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether the labels meet the condition."""
        have = labels.get(self.name, "")
        same = re.fullmatch(self.value, have) is not None if "~" in self.operator else have == self.value
        return same is not self.operator.startswith("!")

    def __str__(self) -> str:
        value = self.value if "~" in self.operator else self.value.replace("\\", "\\\\").replace('"', '\\"')
        return f'{self.name}{self.operator}"{value}"'


def match_all(matchers: Iterable[Matcher], labels: Mapping[str, str]) -> bool:
    """Return whether the labels meet every condition."""
    return all(matcher.matches(labels) for matcher in matchers)
