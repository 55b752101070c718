"""`mlhealth.yaml`: read once, strictly, into frozen models; every mistake is one line naming the file and the key."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator

from mlhealth.clock import DAY, SECOND, parse_duration
from mlhealth.config.listen import ListenConfig
from mlhealth.config.outbound import OutboundConfig
from mlhealth.config.payload import PairingConfig, PayloadConfig, SchemaRegistryConfig
from mlhealth.config.promotion import PromotionConfig
from mlhealth.config.receivers import ReceiverConfig, RegistryConfig, TrainingConfig, WatchdogConfig
from mlhealth.config.retention import RetentionConfig
from mlhealth.config.strict_model import Duration, Secret, Strict
from mlhealth.config.strict_yaml import Document, Location, parse, text_of, validated
from mlhealth.config.windowing import WindowConfig
from mlhealth.errors import ConfigError

_REFERENCE = re.compile(r"\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}")
_BARE_REFERENCE = re.compile(
    r"(?<=[\s:,\[{])\$\{[A-Za-z_][A-Za-z0-9_]*(?::-[^}\"'\n]*)?\}(?=\s*(?:[,}\]]|$))", re.MULTILINE
)


class KafkaSecurity(Strict):
    """TLS and SASL of a broker; the names are those of every Kafka client.

    With OAUTHBEARER, tokens come from `token_url` (client credentials: `username` and `password` are the client's id
    and secret), asked for `scope` where that is given.
    """

    protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = "PLAINTEXT"
    mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None = None
    username: str | None = None
    password: Secret | None = None
    token_url: str | None = None
    scope: str | None = None
    ca_file: str | None = None
    certificate_file: str | None = None
    key_file: str | None = None
    check_hostname: bool = True

    @model_validator(mode="after")
    def _agree(self) -> KafkaSecurity:
        if self.protocol.startswith("SASL") != (self.mechanism is not None):
            raise ValueError("mechanism: needed with protocol SASL_PLAINTEXT or SASL_SSL, and only there")
        if self.mechanism is not None and (self.username is None or self.password is None):
            raise ValueError(f"mechanism {self.mechanism} needs username and password")
        if (self.mechanism == "OAUTHBEARER") != (self.token_url is not None):
            raise ValueError("token_url: needed with mechanism OAUTHBEARER, and only there")
        return self


class TopicModel(Strict):
    """What the messages of a topic hold and whose, where they do not say so in their headers.

    `holds: labels` is for a topic of late labels, which may leave `version` out: they are then for any version.
    `format`: how its messages are written, where neither they nor the source's `format` say so; see the pages about
    serving systems. Formats of serving systems may leave `version` out, too: see `payload`. `sampling_fraction`: which
    share of the traffic is logged, where events do not say.
    """

    model: str
    version: Annotated[str, BeforeValidator(lambda v: str(v) if isinstance(v, int | float) else v)] = ""
    holds: Literal["events", "labels"] = "events"
    format: str = ""
    sampling_fraction: float = Field(default=1.0, ge=1e-6, le=1.0)

    @model_validator(mode="after")
    def _events_have_a_version(self) -> TopicModel:
        if self.holds == "events" and not self.version and self.format in {"", "json", "arrow"}:
            raise ValueError("version: name the model's version, or write `holds: labels`")
        return self


class KafkaConfig(Strict):
    """A Kafka source.

    `models` maps a topic to the one model version it carries. `format`: how messages are written that do not say so.
    `idle`: after how long without a message a partition
    that is read to its end no longer holds windows open. `session`: after how long without a sign of life a worker's
    partitions are given to another. `instance`: a name of this worker's own that outlives it; with it, a worker that
    restarts within `session` gets its partitions back at once. `rebalance`: whether a worker that joins or leaves takes
    only those partitions from others that move (`cooperative`, what confluent does unless told otherwise), or all
    (`eager`, what kafka-python does); all workers of a group must do the same.
    """

    bootstrap: str
    topics: tuple[str, ...] = ()
    pattern: str | None = None
    group: str = "mlhealth"
    client: Literal["kafka-python", "confluent"] = "kafka-python"
    rebalance: Literal["cooperative", "eager"] | None = None
    models: Mapping[str, TopicModel] = {}
    format: str = "json"
    dead_letters: str | None = None
    idle: Duration = 30 * SECOND
    session: Duration = 15 * SECOND
    instance: str | None = None
    max_message_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    poll_records: int = Field(default=20_000, ge=1)
    check_crcs: bool = True
    security: KafkaSecurity = KafkaSecurity()

    @model_validator(mode="after")
    def _one_of_topics_and_pattern(self) -> KafkaConfig:
        if bool(self.topics) == (self.pattern is not None):
            raise ValueError("name either topics or a pattern")
        return self

    @model_validator(mode="after")
    def _kafka_python_is_eager(self) -> KafkaConfig:
        if self.client == "kafka-python" and self.rebalance == "cooperative":
            raise ValueError("rebalance: cooperative needs client: confluent")
        return self

    @property
    def is_cooperative(self) -> bool:
        """Whether a rebalance takes only those partitions away that move."""
        return self.client == "confluent" and self.rebalance != "eager"


class InboxConfig(Strict):
    """The store's own inbox: what arrives over HTTP.

    `max_message_bytes`: the longest body taken. `max_rows`, `max_bytes`: how much may wait to be read before senders
    are asked to come again later. `partitions`: how many workers may share the reading. `idle`: as for Kafka.
    """

    idle: Duration = 30 * SECOND
    max_message_bytes: int = Field(default=32 * 1024 * 1024, ge=1024)
    max_rows: int = Field(default=2_000_000, ge=1)
    max_bytes: int = Field(default=1024 * 1024 * 1024, ge=1024)
    partitions: int = Field(default=1, ge=1, le=1024)


class FilesConfig(Strict):
    """A folder of NDJSON, Parquet and Arrow files, read as they appear.

    `pattern`: which file names. `model`: whose events they hold; else folders `MODEL/VERSION/` say so, or the lines
    themselves. `idle`: after how long a file that is read to its end no longer holds windows open.
    """

    folder: str
    pattern: str = "*"
    model: TopicModel | None = None
    idle: Duration = 10 * SECOND


class SourceConfig(Strict):
    """One source; exactly one kind."""

    kafka: KafkaConfig | None = None
    inbox: InboxConfig | None = None
    files: FilesConfig | None = None

    @model_validator(mode="after")
    def _exactly_one_kind(self) -> SourceConfig:
        if sum(kind is not None for kind in (self.kafka, self.inbox, self.files)) != 1:
            raise ValueError("name exactly one kind of source: kafka, inbox or files")
        return self


def _budget(value: object) -> object:
    text = str(value)
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s+per\s+(\S+)\s*", text)
    if match is None:
        raise ValueError(f"{text!r} is no budget; write a number of alarms per duration, such as 1 per 90d")
    return {"alarms": float(match[1]), "per": parse_duration(match[2])}


class AlarmBudget(Strict):
    """How many false alarms a user accepts: `alarms` in `per` microseconds."""

    alarms: float = Field(gt=0)
    per: int = Field(gt=0)


def parse_budget(text: str) -> AlarmBudget:
    """Return the budget that a text such as `1 per 90d` names; raises ConfigError."""
    try:
        return AlarmBudget.model_validate(_budget(text))
    except ValueError as error:
        told = str(error) if not isinstance(error, ValidationError) else f"{text!r} allows nothing"
        raise ConfigError(f"false alarms: {told}") from None


class LabelsConfig(Strict):
    """Labels that come late: for how long (`horizon`) they are kept and revise the windows of their events."""

    horizon: Duration = 28 * DAY


class PinnedThreshold(Strict):
    """A threshold pinned in place of the fitted one: a constant, so many standard deviations, or a quantile.

    `column`: of which column; left out, of all that the detector judges. `sigmas`: above what the detector says, in the
    middle, without drift. `quantile`: of what it says without drift.
    """

    detector: str
    column: str | None = None
    constant: float | None = Field(default=None, ge=0)
    sigmas: float | None = Field(default=None, ge=0)
    quantile: float | None = Field(default=None, gt=0, lt=1)

    @model_validator(mode="after")
    def _exactly_one(self) -> PinnedThreshold:
        if sum(value is not None for value in (self.constant, self.sigmas, self.quantile)) != 1:
            raise ValueError("give exactly one of constant, sigmas and quantile")
        return self


class ScorerBudgetConfig(Strict):
    """What one window may ask the scorer: `rows` altogether, and `seconds` of waiting altogether."""

    rows: int = Field(default=20_000, ge=1)
    seconds: float = Field(default=30.0, gt=0)


class ModelConfig(WindowConfig):
    """How the windows of a model are cut (`WindowConfig`) and judged; `default` in `models` speaks for all not named.

    `learning`: windows of a new model version before anything pages; reasons say what would have. `season`: drift
    is judged against the same hour or weekday (UTC) of the reference. `level`: of the intervals. `scorer` asks the
    deployed model, as in `mlhealth estimate --scorer`, within `scorer_budget`: what that does not hold, or what is
    not answered in time, a stand-in answers. `thresholds`: drift thresholds pinned by hand. `guard`: further
    metrics whose loss pages, each for an equal share of the budget. `duplicates`: events whose id the partition
    already brought in the same window are counted, or left out (`remove`), or not looked for (`keep`). `topics`:
    which topics carry the model, where not all may. `promotion`: when a challenger takes over by its comparison
    with the champion alone.
    """

    segments: tuple[str, ...] = ()
    segment_values: int = Field(default=10, ge=1, le=100)
    false_alarms: Annotated[AlarmBudget, BeforeValidator(_budget)] = AlarmBudget(alarms=1, per=90 * DAY)
    learning: int = Field(default=0, ge=0)
    season: Literal["hour", "weekday", "hour_of_week"] | None = None
    metric: str | None = None
    tolerance: float | None = Field(default=None, gt=0)
    level: float = Field(default=0.9, ge=0.5, le=0.99)
    scorer: str | None = None
    scorer_budget: ScorerBudgetConfig = ScorerBudgetConfig()
    duplicates: Literal["count", "remove", "keep"] = "count"
    thresholds: tuple[PinnedThreshold, ...] = ()
    guard: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    labels: LabelsConfig = LabelsConfig()
    payload: PayloadConfig = PayloadConfig()
    promotion: PromotionConfig | None = None


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
