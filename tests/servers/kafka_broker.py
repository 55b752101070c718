"""A real Kafka cluster (KRaft) on loopback: one node or several, each started, stopped and killed by itself."""

from __future__ import annotations

import base64
import shutil
import signal
import subprocess
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.admin import NewTopic
from kafka.errors import KafkaError

from tests.servers.kafka_files import KAFKA_VERSION, fetch
from tests.servers.kafka_security import BrokerSecurity
from tests.servers.process import LOOPBACK, ServerError, ServerProcess, accepts, free_port, wait_until

_LOGGING = """\
status = error
appender.out.type = Console
appender.out.name = OUT
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %m (%c)%n
rootLogger.level = warn
rootLogger.appenderRef.out.ref = OUT
"""


@dataclass(frozen=True)
class KafkaNode:
    """One broker and controller in a process of its own."""

    number: int
    port: int
    controller_port: int
    folder: Path
    process: ServerProcess

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"


@dataclass
class KafkaCluster:
    """A cluster of `len(ports)` nodes; `bootstrap` is what a client needs.

    `stop` and `kill` without a number take down every node and keep the data; `start` brings up what is down.
    `security`: listeners with TLS and SASL beside the plain one, of a cluster of one node.
    """

    folder: Path
    ports: Sequence[int] = field(default_factory=lambda: [free_port()])
    detached: bool = False
    heap_mb: int = 384
    version: str = KAFKA_VERSION
    security: BrokerSecurity | None = None
    nodes: list[KafkaNode] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self.folder = self.folder.absolute()
        controllers = [free_port() for _ in self.ports]
        for number, (port, controller) in enumerate(zip(self.ports, controllers, strict=True), start=1):
            folder = self.folder / f"node{number}"
            command = [*self._java(), "kafka.Kafka", str(folder / "server.properties")]
            process = ServerProcess(command, folder / "server.log", detached=self.detached)
            self.nodes.append(KafkaNode(number, port, controller, folder, process))

    @property
    def bootstrap(self) -> str:
        """`host:port` of every node, comma-separated."""
        return ",".join(node.address for node in self.nodes)

    @property
    def running(self) -> bool:
        return any(node.process.running for node in self.nodes)

    def start(self, number: int | None = None, *, timeout: float = 90.0) -> float:
        """Start the nodes that are down (or one of them); return the seconds until the broker answers a client."""
        chosen = [node for node in self._chosen(number) if not node.process.running]
        if not chosen:
            return 0.0
        began = time.monotonic()
        self._prepare()
        for node in chosen:
            node.process.start()
        for node in chosen:
            node.process.wait_ready(partial(accepts, node.port), timeout=timeout)
        wait_until(self._answers, what=f"Kafka at {self.bootstrap}", timeout=timeout)
        return time.monotonic() - began

    def stop(self, number: int | None = None) -> None:
        """Ask nodes to end, all at once (a last one alone waits in vain for a quorum); the data stays on disk."""
        for node in self._chosen(number):
            node.process.send(signal.SIGTERM)
        for node in self._chosen(number):
            node.process.stop(timeout=8.0)

    def kill(self, number: int | None = None) -> None:
        """End nodes at once, as `kill -9` or a power cut would."""
        for node in self._chosen(number):
            node.process.kill()

    def delete(self) -> None:
        """Stop every node and remove the data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def admin(self) -> KafkaAdminClient:
        """Return an admin client of this cluster; close it after use."""
        return KafkaAdminClient(bootstrap_servers=self.bootstrap, bootstrap_timeout_ms=2000)

    def create_topic(self, name: str, partitions: int = 1, **config: str) -> str:
        """Create a topic, replicated to every node, and return its name once every partition has a leader."""
        admin = self.admin()
        try:
            topic = NewTopic(
                name, num_partitions=partitions, replication_factor=len(self.nodes), topic_configs=config
            )
            admin.create_topics([topic])

            def led() -> bool:
                (described,) = admin.describe_topics([name])
                found = described["partitions"]
                return len(found) == partitions and all(p["leader_id"] >= 0 for p in found)

            wait_until(led, what=f"topic {name}", timeout=30.0)
        finally:
            admin.close()
        return name

    def _chosen(self, number: int | None) -> list[KafkaNode]:
        return [node for node in self.nodes if number in (None, node.number)]

    def _answers(self) -> bool:
        try:
            admin = self.admin()
        except KafkaError:
            return False
        try:
            return len(admin.describe_cluster()["brokers"]) >= sum(
                node.process.running for node in self.nodes
            )
        except KafkaError:
            return False
        finally:
            admin.close()

    def _java(self) -> list[str]:
        logging = f"-Dlog4j2.configurationFile={self.folder / 'log4j2.properties'}"
        heap = [f"-Xms{min(128, self.heap_mb)}m", f"-Xmx{self.heap_mb}m"]
        return ["java", *heap, "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", logging, "-cp", f"{fetch()}/*"]

    def _prepare(self) -> None:
        """Write every node's settings (ports may differ from the last time) and format what is new."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "log4j2.properties").write_text(_LOGGING)
        identity = self.folder / "cluster.id"
        if not identity.exists():
            identity.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))
        for node in self.nodes:
            node.folder.mkdir(parents=True, exist_ok=True)
            (node.folder / "server.properties").write_text(self._properties(node))
            if not (node.folder / "data" / "meta.properties").exists():
                self._format(node, identity.read_text())

    def _format(self, node: KafkaNode, identity: str) -> None:
        settings = str(node.folder / "server.properties")
        command = [
            *self._java(),
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={identity}",
            "-c",
            settings,
        ]
        command += self.security.accounts() if self.security else []
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise ServerError(f"Kafka could not format {node.folder}: {done.stdout}{done.stderr}".strip())

    def _properties(self, node: KafkaNode) -> str:
        copies = len(self.nodes)
        voters = ",".join(f"{n.number}@{LOOPBACK}:{n.controller_port}" for n in self.nodes)
        more = self.security.listeners() if self.security else ""
        settings = {
            "process.roles": "broker,controller",
            "node.id": node.number,
            "controller.quorum.voters": voters,
            "listeners": f"PLAINTEXT://{node.address},CONTROLLER://{LOOPBACK}:{node.controller_port}{more}",
            "advertised.listeners": f"PLAINTEXT://{node.address}{more}",
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SECURE:SASL_SSL,TLS:SSL",
            "log.dirs": node.folder / "data",
            "broker.session.timeout.ms": 2000,  # else a killed node's place stays taken for 9 s
            "broker.heartbeat.interval.ms": 500,
            "num.partitions": 1,
            "auto.create.topics.enable": "false",
            "default.replication.factor": copies,
            "min.insync.replicas": max(1, copies - 1),
            "offsets.topic.replication.factor": copies,
            "offsets.topic.num.partitions": 3,
            "transaction.state.log.replication.factor": copies,
            "transaction.state.log.num.partitions": 3,
            "transaction.state.log.min.isr": max(1, copies - 1),
            "group.initial.rebalance.delay.ms": 0,
            "message.max.bytes": 12 * 1024 * 1024,
            "replica.fetch.max.bytes": 12 * 1024 * 1024,
        } | (self.security.settings() if self.security else {})
        return "".join(f"{key}={value}\n" for key, value in settings.items())
