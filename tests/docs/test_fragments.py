"""Configuration, rules and schemas in documents are read by the code that reads the real ones; links lead somewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlhealth.alerts.rules import parse_rules
from mlhealth.config.service import Config
from mlhealth.config.strict_yaml import parse, validated
from mlhealth.schema.file import SchemaFile
from tests.docs.snippets import ROOT, documents

_YAML = re.compile(r"^```yaml\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?://|mailto:|#)(?P<target>[^)#\s]+)")
_VARIABLE = re.compile(r"\$\{[A-Z_]+(?::-([^}]*))?\}")


def _fragments() -> Iterator[Any]:
    for file in documents():
        text = file.read_text(encoding="utf-8")
        for found in _YAML.finditer(text):
            place = f"{file.relative_to(ROOT)}:{text.count(chr(10), 0, found.start()) + 1}"
            yield pytest.param(found["body"], place, id=place)


@pytest.mark.parametrize(("body", "place"), list(_fragments()))
def test_configuration_in_documents_is_valid(body: str, place: str) -> None:
    """Rules, `model.yaml` and `mlhealth.yaml` as shown, whole or in part, are accepted."""
    text = _VARIABLE.sub(lambda found: found[1] or "https://set.example", body)
    data = yaml.safe_load(text)
    if not isinstance(data, dict):
        return
    if isinstance(data.get("rules"), list) and all(isinstance(rule, dict) for rule in data["rules"]):
        assert parse_rules(text).rules
    elif {"model", "columns"} <= data.keys():
        assert validated(parse(text, place), SchemaFile).model
    elif data.keys() <= Config.model_fields.keys():
        assert validated(parse(text, place), Config).store


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "tests/README.md"])
def test_links_outside_the_site_lead_somewhere(name: str) -> None:
    """Files and pictures that a document at the root links to are in the checkout."""
    file = ROOT / name
    targets = [found["target"] for found in _LINK.finditer(file.read_text(encoding="utf-8"))]
    assert not [target for target in targets if not _resolved(file, target).exists()]


def _resolved(file: Path, target: str) -> Path:
    return (file.parent / target).resolve()
