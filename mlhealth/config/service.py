"""`mlhealth.yaml`: read once, strictly, into frozen models; every mistake is one line naming the file and the key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from mlhealth.clock import SECOND
from mlhealth.config.listen import ListenConfig
from mlhealth.config.models import ModelConfig
from mlhealth.config.outbound import OutboundConfig
from mlhealth.config.payload import PairingConfig, SchemaRegistryConfig
from mlhealth.config.receivers import ReceiverConfig, RegistryConfig, TrainingConfig, WatchdogConfig
from mlhealth.config.retention import RetentionConfig
from mlhealth.config.sources import SourceConfig
from mlhealth.config.strict_model import Duration, Strict
from mlhealth.config.strict_yaml import Document, Location, parse, text_of, validated
from mlhealth.errors import ConfigError

_REFERENCE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_BARE_REFERENCE = re.compile(
    r"(?<=[\s:,\[{])\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}\"'\n]*)?\}(?=\s*(?:[,}\]]|$))", re.MULTILINE
)


class Config(Strict):
    """The whole service. `public_url`: where people reach it; links in alerts and reports lead there."""

    store: str = "sqlite:///mlhealth.db"
    public_url: Annotated[str, Field(pattern=r"^https?://[^\s/]+")] | None = None
    listen: ListenConfig = ListenConfig()
    outbound: OutboundConfig = OutboundConfig()
    checkpoint: Duration = 5 * SECOND
    buffer_bytes: int = Field(default=64 * 1024 * 1024, ge=1024 * 1024)
    sources: tuple[SourceConfig, ...] = ()
    pairing: PairingConfig = PairingConfig()
    schema_registry: SchemaRegistryConfig | None = None
    models: Mapping[str, ModelConfig] = {}
    rules: tuple[str, ...] = ()
    receivers: Mapping[str, ReceiverConfig] = {}
    training: Mapping[str, TrainingConfig] = {}
    registry: RegistryConfig | None = None
    watchdog: WatchdogConfig = WatchdogConfig()
    retention: RetentionConfig = RetentionConfig()

    @property
    def address(self) -> str:
        """Where people reach the service: `public_url`, else where it listens; no slash at the end."""
        listen = self.listen
        own = f"{'https' if listen.tls else 'http'}://{listen.host}:{listen.port}"
        return (self.public_url or own).rstrip("/")

    def model(self, name: str) -> ModelConfig:
        """Return how a model is treated: its own block, else `default`, else the defaults."""
        return self.models.get(name) or self.models.get("default") or ModelConfig()


def load(path: Path | str, environment: Mapping[str, str] | None = None) -> Config:
    """Read a configuration, with `${NAME}` and `${NAME:-default}` filled in from the environment.

    File names in it are taken relative to it. Raises ConfigError naming the file, the line and the key.
    """
    document = _parsed(text_of(path), str(path))
    values = os.environ if environment is None else environment
    filled = Document(document.source, _filled(document.data, (), document, values), document.lines)
    config = validated(filled, Config)
    base = Path(path).resolve().parent
    return config.model_copy(
        update={
            "rules": tuple(str(base / rule) for rule in config.rules),
            "store": _located(config.store, base),
            "sources": tuple(_beside(source, base) for source in config.sources),
            "training": {name: _with_template(given, base) for name, given in config.training.items()},
        }
    )


def _parsed(text: str, source: str) -> Document:
    """Parse a configuration, in which a value may be a bare `${NAME}` also between braces, where YAML wants quotes."""
    try:
        return parse(text, source)
    except ConfigError as error:
        quoted = _BARE_REFERENCE.sub(r'"\g<0>"', text)
        if quoted == text:
            raise
        try:
            return parse(quoted, source)
        except ConfigError:
            raise error from None


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of `mlhealth.yaml`, for editors."""
    return Config.model_json_schema()


def _filled(value: Any, path: Location, document: Document, environment: Mapping[str, str]) -> Any:
    if isinstance(value, dict):
        return {k: _filled(v, (*path, str(k)), document, environment) for k, v in value.items()}
    if isinstance(value, list):
        return [_filled(v, (*path, i), document, environment) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value

    def replacement(match: re.Match[str]) -> str:
        found = environment.get(match["name"], match["default"])
        if found is None:
            raise document.error(path, f"the environment variable {match['name']} is not set")
        return found

    return _REFERENCE.sub(replacement, value)


def _beside(source: SourceConfig, base: Path) -> SourceConfig:
    """Return a source with a folder relative to the configuration made absolute."""
    if source.files is None:
        return source
    files = source.files.model_copy(update={"folder": str(base / source.files.folder)})
    return source.model_copy(update={"files": files})


def _with_template(training: TrainingConfig, base: Path) -> TrainingConfig:
    """Return a training service with a template relative to the configuration made absolute."""
    if training.kubernetes is None:
        return training
    template = str(base / training.kubernetes.template)
    return training.model_copy(
        update={"kubernetes": training.kubernetes.model_copy(update={"template": template})}
    )


def _located(store: str, base: Path) -> str:
    """Return a SQLite URL with a path relative to the configuration made absolute."""
    prefix = "sqlite:///"
    name = store.removeprefix(prefix)
    if not store.startswith(prefix) or name in {"", ":memory:"} or Path(name).is_absolute():
        return store
    return f"{prefix}{base / name}"
