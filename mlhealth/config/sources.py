"""The block `sources` of `mlhealth.yaml`: where events come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from mlhealth.clock import SECOND
from mlhealth.config.strict_model import Duration, Secret, Strict


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
