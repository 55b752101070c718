"""How receivers of notifications and training services are configured; `receivers:` and `training:` of mlhealth.yaml.

One model per kind; the field's name is the kind, and names the file in `alerts.notifiers` or `alerts.retraining`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, HttpUrl, WithJsonSchema, model_validator

from mlhealth.clock import DAY, HOUR, MINUTE, SECOND
from mlhealth.config.strict_model import Duration, Secret, Strict
from mlhealth.quiet_hours import QuietHours

Url = Annotated[HttpUrl, WithJsonSchema({"type": "string", "format": "uri"})]


class HttpSettings(Strict):
    """What every HTTP peer shares. `timeout` is for the whole call; `ca_file` replaces the system's authorities."""

    timeout: Duration = 10 * SECOND
    headers: Mapping[str, Secret] = {}
    ca_file: str | None = None


class WebhookConfig(HttpSettings):
    """An HTTP receiver. With a `secret`, requests carry Standard-Webhooks signature headers."""

    url: Url
    secret: Secret | None = None


class AlertmanagerConfig(HttpSettings):
    """A Prometheus Alertmanager, by its base address."""

    url: Url


class PagerDutyConfig(HttpSettings):
    """A PagerDuty service, by its Events API v2 integration key."""

    routing_key: Secret
    url: Url = HttpUrl("https://events.pagerduty.com/v2/enqueue")


class SlackConfig(HttpSettings):
    """A Slack channel: by an incoming webhook, or by a bot `token` and a `channel`, whose messages can be updated."""

    webhook: Url | None = None
    token: Secret | None = None
    channel: str | None = None
    api: Url = HttpUrl("https://slack.com/api")

    @model_validator(mode="after")
    def _one_way(self) -> SlackConfig:
        if (self.webhook is None) == (self.token is None):
            raise ValueError("give either webhook, or token and channel")
        if self.token is not None and not self.channel:
            raise ValueError("a token needs a channel")
        return self


class TeamsConfig(HttpSettings):
    """A Microsoft Teams channel, by the address of a Workflows webhook."""

    url: Url


class EmailConfig(Strict):
    """People, by SMTP. `tls`: starttls, tls (from the first byte) or none (on loopback only)."""

    host: str
    port: int = Field(default=587, ge=1, le=65535)
    to: Annotated[tuple[str, ...], Field(min_length=1)]
    sender: str
    username: str | None = None
    password: Secret | None = None
    tls: Literal["starttls", "tls", "none"] = "starttls"
    ca_file: str | None = None
    timeout: Duration = 20 * SECOND

    @model_validator(mode="after")
    def _no_clear_text(self) -> EmailConfig:
        if self.tls == "none" and self.host not in ("localhost", "127.0.0.1", "::1"):
            raise ValueError("tls: none sends pages in clear text, which is allowed to this machine only")
        return self


class AppriseConfig(Strict):
    """Any of the services that Apprise knows, by its address; needs mlhealth[apprise]."""

    url: Secret


class RateLimit(Strict):
    """At most `messages` in `per`."""

    messages: Annotated[int, Field(ge=1)]
    per: Duration


ALERTMANAGER_REPEAT = 5 * MINUTE


@dataclass(frozen=True)
class Reminder:
    """How often a receiver is told again of an alert that still fires."""

    every: int
    even_if_acknowledged: bool = False


class ReceiverConfig(Strict):
    """Where notifications go: exactly one kind, and how often.

    `remind`: tell again that an alert still fires, after so long. `limit`: messages over it wait. `resolved`: whether
    the end of an alert is told. `give_up`: how long a failing delivery is tried.
    """

    webhook: WebhookConfig | None = None
    alertmanager: AlertmanagerConfig | None = None
    pagerduty: PagerDutyConfig | None = None
    slack: SlackConfig | None = None
    teams: TeamsConfig | None = None
    email: EmailConfig | None = None
    apprise: AppriseConfig | None = None
    group_by: tuple[Literal["model", "version", "segment", "rule", "severity"], ...] = ("model", "version")
    remind: Duration | None = None
    limit: RateLimit | None = None
    resolved: bool = True
    give_up: Duration = DAY

    @model_validator(mode="after")
    def _exactly_one_kind(self) -> ReceiverConfig:
        _one_of(self, RECEIVER_KINDS)
        return self

    @property
    def kind(self) -> str:
        """The kind of receiver, such as webhook."""
        return _one_of(self, RECEIVER_KINDS)

    @property
    def reminder(self) -> Reminder | None:
        """How often it is told again; an Alertmanager always is, since what it does not hear again it resolves."""
        if self.kind == "alertmanager":
            return Reminder(ALERTMANAGER_REPEAT, even_if_acknowledged=True)
        return None if self.remind is None else Reminder(self.remind)


class TrainingWebhookConfig(HttpSettings):
    """An HTTP training service. `status_url` may hold {job}; without it the answer's Location is followed."""

    url: Url
    secret: Secret | None = None
    token: Secret | None = None
    status_url: str | None = None


class RayConfig(HttpSettings):
    """A Ray cluster's Jobs API, by the address of its dashboard."""

    url: Url
    entrypoint: str
    token: Secret | None = None
    gpus: float = Field(default=0, ge=0)
    cpus: float = Field(default=1, ge=0)
    runtime_env: Mapping[str, Any] = {}


class KubernetesConfig(HttpSettings):
    """An object made from a template file: TrainJob, RayJob, AppWrapper, Job, whatever the cluster runs."""

    template: str
    url: Url | None = None
    token: Secret | None = None
    namespace: str = "default"
    queue: str | None = None


class KubeflowPipelinesConfig(HttpSettings):
    """A pipeline of Kubeflow Pipelines, by the address before `/apis`.

    `parameters`: further pipeline parameters and the field of the request each gets. `gpus`: what a run uses.
    """

    url: Url
    pipeline_id: str
    pipeline_version_id: str | None = None
    experiment_id: str | None = None
    service_account: str | None = None
    token: Secret | None = None
    gpus: float = Field(default=0, ge=0)
    parameters: Mapping[
        str, Literal["request_id", "model", "version", "rule", "reason", "data_start", "data_end"]
    ] = {}


class KafkaTrainingConfig(Strict):
    """A topic that training services read: one CloudEvent per request."""

    bootstrap: str
    topic: str
    timeout: Duration = 10 * SECOND


class MlflowConfig(HttpSettings):
    """An MLflow tracking server's model registry.

    `alias`: the alias that deployments follow. `names`: a model's registered name, where that is another.
    """

    url: Url
    alias: str = "champion"
    names: Mapping[str, str] = {}
    token: Secret | None = None


class RegistryConfig(Strict):
    """Where model versions are registered, and which one is deployed."""

    mlflow: MlflowConfig


def _quiet(value: object) -> object:
    return QuietHours.parse(value) if isinstance(value, str) else value


QuietHoursText = Annotated[
    QuietHours,
    BeforeValidator(_quiet),
    WithJsonSchema({"type": "string", "examples": ["22:00-06:00 Europe/Berlin"]}),
]


class TrainingConfig(Strict):
    """A training service that takes retraining requests: exactly one kind.

    `poll`: how often a running job is asked for. `forget`: after so long without an end the job is given up.
    `recover_within`: windows within which the next version must be healthy for the request to count as a success.
    `quiet_hours`: requests made in them wait for their end. `promote`: a version that recovered is deployed through
    the registry; `rollback`: one that did not is replaced by the version before it.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    webhook: TrainingWebhookConfig | None = None
    ray: RayConfig | None = None
    kubernetes: KubernetesConfig | None = None
    kubeflow_pipelines: KubeflowPipelinesConfig | None = None
    kafka: KafkaTrainingConfig | None = None
    poll: Duration = 30 * SECOND
    forget: Duration = 2 * DAY
    give_up: Duration = HOUR
    recover_within: int = Field(default=3, ge=1)
    quiet_hours: QuietHoursText | None = None
    promote: bool = False
    rollback: bool = False

    @model_validator(mode="after")
    def _exactly_one_kind(self) -> TrainingConfig:
        _one_of(self, TRAINING_KINDS)
        return self

    @property
    def kind(self) -> str:
        """The kind of service, such as ray."""
        return _one_of(self, TRAINING_KINDS)


class DeadManConfig(HttpSettings):
    """An address that is called while mlhealth sees, and raises the alarm itself when the calls stay away."""

    url: Url
    every: Duration = MINUTE


class WatchdogConfig(Strict):
    """When mlhealth pages about itself.

    `dead_after`: a worker without a sign of life, or a partition that no living worker holds, for so long.
    `blind_after`: no worker at all. `notify`: receivers; left out, all of them. `dead_man`: who is called while all is
    well, and misses it.
    """

    dead_after: Duration = MINUTE
    blind_after: Duration = 5 * MINUTE
    notify: tuple[str, ...] | None = None
    dead_man: DeadManConfig | None = None


RECEIVER_KINDS = ("webhook", "alertmanager", "pagerduty", "slack", "teams", "email", "apprise")
TRAINING_KINDS = ("webhook", "ray", "kubernetes", "kubeflow_pipelines", "kafka")


def _one_of(config: Strict, kinds: tuple[str, ...]) -> str:
    given = [kind for kind in kinds if getattr(config, kind) is not None]
    if len(given) != 1:
        raise ValueError(f"name exactly one kind of {', '.join(kinds)}{f'; not {given}' if given else ''}")
    return given[0]
