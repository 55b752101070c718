"""`mlhealth.yaml` is read strictly: each mistake is one line that names file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlhealth.clock import DAY, HOUR, MINUTE
from mlhealth.config.service import json_schema, load
from mlhealth.errors import ConfigError

COMPLETE = """\
store: sqlite:///data/mlhealth.db
sources:
  - kafka: {bootstrap: "localhost:9092", topics: [inference-log], group: mlhealth, dead_letters: inference-log.dead}
models:
  loan-default: {window: 1h, lateness: 15m, segments: [region], false_alarms: 1 per 90d}
  default: {window: 1d, lateness: 0s}
rules: [rules.yaml]
receivers:
  oncall: {webhook: {url: "https://example.org/hook", secret: "${ONCALL_SECRET}"}}
training:
  gpu: {webhook: {url: "https://example.org/train"}}
"""

WRONG = {
    "stroe: x": "1: stroe: unknown key; did you mean store?",
    "store: ${NOWHERE}": "1: store: the environment variable NOWHERE is not set",
    "models:\n  a: {window: 1x}": "2: models.a.window: duration '1x' is not understood",
    "models:\n  a: {window: 5}": "2: models.a.window: 5 is no duration",
    "models:\n  a: {windows: 1h}": "2: models.a.windows: unknown key; did you mean window?",
    "models:\n  a: {window: 1h, slide: 7m}": "2: models.a: slide: 1h must be 2 to 100 times as long as 7m",
    "models:\n  a: {window: 1h, slide: 1h}": "2: models.a: slide: 1h must be 2 to 100 times as long as 1h",
    "models:\n  a: {slide: 5m, rows: 9}": "2: models.a: slide, rows, runs: windows slide, are counted or are runs",
    "models:\n  a: {longest: 5h}": "2: models.a: longest: goes with rows, and must be a multiple of window",
    "models:\n  a: {false_alarms: 3}": "2: models.a.false_alarms: '3' is no budget",
    "sources:\n  - kafka: {bootstrap: x}": "2: sources[0].kafka: name either topics or a pattern",
    "sources:\n  - kafka: {bootstrap: x, topics: [a], pattern: b}": "2: sources[0].kafka: name either",
    "sources:\n  - kafka: {bootstrap: x, topics: [a], rebalance: cooperative}": "cooperative needs client: confluent",
    "sources:\n  - {}": "2: sources[0]: name exactly one kind of source",
    "sources:\n  - kafka: {topics: [a]}": "2: sources[0].kafka.bootstrap: is missing",
    "listen: {port: 99999}": "1: listen.port: input should be less than or equal to 65535",
    "store: a\nstore: b": "2: store: the key stands here twice",
    "- a": "1: expected a mapping",
    "store: [": "is not YAML",
}


def written(folder: Path, text: str) -> Path:
    """Return a configuration file that holds `text`."""
    path = folder / "mlhealth.yaml"
    path.write_text(text)
    return path


def test_a_complete_file_is_understood(tmp_path: Path) -> None:
    """Durations, budgets, secrets and relative paths mean what they say."""
    config = load(written(tmp_path, COMPLETE), {"ONCALL_SECRET": "whsec_abc"})
    model = config.model("loan-default")
    assert (model.window, model.lateness, model.segments) == (HOUR, 15 * MINUTE, ("region",))
    assert (model.false_alarms.alarms, model.false_alarms.per) == (1.0, 90 * DAY)
    assert config.store == f"sqlite:///{tmp_path}/data/mlhealth.db"
    assert config.rules == (str(tmp_path / "rules.yaml"),)
    assert config.sources[0].kafka is not None
    assert "whsec_abc" not in repr(config)


@pytest.mark.parametrize("reference", ["${ONCALL_SECRET}", '"${ONCALL_SECRET}"', "${ABSENT:-whsec_abc}"])
def test_a_variable_between_braces_needs_no_quotes(reference: str, tmp_path: Path) -> None:
    """`{secret: ${NAME}}` means what it looks like, though YAML alone would refuse it."""
    text = COMPLETE.replace('"${ONCALL_SECRET}"', reference)
    config = load(written(tmp_path, text), {"ONCALL_SECRET": "whsec_abc"})
    webhook = config.receivers["oncall"].webhook
    assert webhook is not None
    assert webhook.secret is not None
    assert webhook.secret.get_secret_value() == "whsec_abc"


def test_a_mistake_beside_a_bare_variable_keeps_its_line(tmp_path: Path) -> None:
    """Allowing bare variables hides no other mistake of the file."""
    with pytest.raises(ConfigError, match=r"mlhealth\.yaml:\d+: is not YAML"):
        load(written(tmp_path, "store: {url: ${URL}}\nkafka: [\n"), {"URL": "x"})


def test_models_that_are_not_named_take_the_default_block(tmp_path: Path) -> None:
    """`default` speaks for every model without a block of its own."""
    config = load(written(tmp_path, COMPLETE), {"ONCALL_SECRET": "x"})
    assert config.model("another").window == DAY
    assert load(written(tmp_path, "store: sqlite://")).model("another").window == HOUR


@pytest.mark.parametrize("text", WRONG)
def test_a_mistake_is_one_line_that_names_file_and_key(text: str, tmp_path: Path) -> None:
    """Each kind of mistake is told in one line with its place and remedy."""
    path = written(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load(path, {})
    assert str(caught.value).startswith(f"{path}:")
    assert WRONG[text] in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_variable_may_have_a_default(tmp_path: Path) -> None:
    """`${NAME:-value}` is the value where the environment has no such name."""
    path = written(tmp_path, "sources:\n  - kafka: {bootstrap: '${BROKER:-localhost:9092}', topics: [a]}")
    (source,) = load(path, {}).sources
    assert source.kafka is not None
    assert source.kafka.bootstrap == "localhost:9092"


def test_the_json_schema_names_every_key() -> None:
    """Editors can check the file: the schema has all top-level keys and allows no others."""
    schema = json_schema()
    assert {"store", "sources", "models", "rules", "receivers", "training"} <= set(schema["properties"])
    assert schema["additionalProperties"] is False


def test_links_lead_to_the_public_address_where_one_is_given(tmp_path: Path) -> None:
    """`public_url` is what links begin with; without it, the address that the service listens on."""
    file = tmp_path / "mlhealth.yaml"
    file.write_text("listen: {host: 0.0.0.0, port: 9000}\n")
    assert load(file).address == "http://0.0.0.0:9000"
    file.write_text("public_url: https://mlhealth.example.org/\nlisten: {host: 0.0.0.0}\n")
    assert load(file).address == "https://mlhealth.example.org"
    file.write_text("public_url: mlhealth.example.org\n")
    with pytest.raises(ConfigError, match="public_url"):
        load(file)
