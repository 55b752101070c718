"""A Kafka broker's jars, fetched once from Maven Central into `.cache/kafka`."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.process import ServerError

KAFKA_VERSION = "4.1.1"
LOG4J_VERSION = "2.25.4"
CACHE = Path(os.environ.get("MLHEALTH_CACHE", Path(__file__).parents[2] / ".cache")) / "kafka"

_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"
# Kafka 4 logs through slf4j 1.7 to log4j 2: log4j-slf4j-impl, not log4j-slf4j2-impl.
_ARTIFACTS = (
    ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION),
    ("org.apache.logging.log4j", "log4j-slf4j-impl", LOG4J_VERSION),
    ("org.apache.logging.log4j", "log4j-core", LOG4J_VERSION),
    ("org.apache.logging.log4j", "log4j-1.2-api", LOG4J_VERSION),
)


def _pom() -> str:
    dependencies = "".join(
        f"<dependency><groupId>{g}</groupId><artifactId>{a}</artifactId><version>{v}</version></dependency>"
        for g, a, v in _ARTIFACTS
    )
    return (
        '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>'
        "<groupId>local</groupId><artifactId>kafka-broker</artifactId><version>1</version><packaging>pom</packaging>"
        f"<dependencies>{dependencies}</dependencies></project>\n"
    )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def missing() -> str | None:
    """Say in one line what keeps a broker from running here, or None."""
    if shutil.which("java") is None:
        return "java is missing (Debian: apt-get install default-jre-headless)"
    if not library().is_dir() and shutil.which("mvn") is None:
        return "mvn is missing to fetch the broker (Debian: apt-get install maven)"
    return None


def library() -> Path:
    """Where this version's jars are, once fetched."""
    return CACHE / f"kafka-{KAFKA_VERSION}"


def fetch() -> Path:
    """Return the folder of jars, fetching them if need be; safe under parallel callers.

    The folder appears in one rename, so it is either complete or absent.
    """
    target = library()
    if target.is_dir():
        return target
    if reason := missing():
        raise ServerError(reason)
    with _locked(CACHE / "fetch.lock"):
        if not target.is_dir():
            _fetch_into(target)
    return target


def _fetch_into(target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        folder = Path(scratch)
        (folder / "pom.xml").write_text(_pom())
        command = ["mvn", "-q", "-B", _COPY, "-DincludeScope=runtime", f"-DoutputDirectory={folder / 'lib'}"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            last = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["no output"]
            raise ServerError(f"mvn could not fetch Kafka {KAFKA_VERSION}: {last[0]}")
        (folder / "lib").rename(target)
