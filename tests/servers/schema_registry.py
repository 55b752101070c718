"""The `schema_registry` fixture: a real Apicurio Registry with Confluent's API, fetched once from Maven Central."""

from __future__ import annotations

import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import pytest

from tests.servers.process import LOOPBACK, ServerError, ServerProcess, free_port
from tests.servers.registry import note, unavailable

VERSION = "2.6.13.Final"
"""The newest that runs on Java 17."""
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
_ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"


@pytest.fixture(scope="module")
def schema_registry(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an empty registry's Confluent API; skipped where it cannot be had."""
    try:
        jar = _fetched()
    except (ServerError, OSError, subprocess.SubprocessError) as error:
        unavailable(pytestconfig, "apicurio", str(error).splitlines()[0], required_in_ci=False)
    port = free_port()
    url = f"http://{LOOPBACK}:{port}/apis/ccompat/v7"
    settings = {"QUARKUS_HTTP_HOST": LOOPBACK, "QUARKUS_HTTP_PORT": str(port), "HTTP_PORT": str(port)}
    log = tmp_path_factory.mktemp("apicurio") / "apicurio.log"
    command = ["java", "-Xmx300m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar", str(jar)]
    server = ServerProcess(command, log, env={**os.environ, **settings})
    server.start()
    try:
        took = server.wait_ready(lambda: _answers(url), timeout=120.0)
        note(pytestconfig, "apicurio", f"started Apicurio Registry {VERSION} in {took:.1f} s")
        yield url
    finally:
        server.stop()


def _fetched() -> Path:
    """Return the registry's jar, fetching it if need be; its folder appears whole or not at all."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "mlhealth"
    home = cache / f"apicurio-{VERSION}"
    if not home.is_dir():
        if shutil.which("mvn") is None or shutil.which("java") is None:
            raise ServerError("mvn and java are needed to fetch and run it (Debian: apt-get install maven)")
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            _fetch_into(Path(scratch), home)
    return next(home.glob("*-runner.jar"))


def _fetch_into(scratch: Path, home: Path) -> None:
    command = ["mvn", "-q", "-B", _COPY, f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={scratch}"]
    done = subprocess.run(command, cwd=scratch, capture_output=True, text=True, timeout=600, check=False)
    archive = next(scratch.glob("*.tar.gz"), None)
    if archive is None:
        last = (done.stdout + done.stderr).strip().splitlines()[-1:] or ["no output"]
        raise ServerError(f"mvn could not fetch Apicurio Registry {VERSION}: {last[0]}")
    whole = scratch / "whole"
    with tarfile.open(archive) as packed:
        packed.extractall(whole, filter="data")
    if not home.is_dir():
        whole.rename(home)


def _answers(url: str) -> bool:
    try:
        with urlopen(f"{url}/subjects", timeout=2) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
