"""README.md from top to bottom, as a newcomer types it in: files, commands, Python, and the tour over a real broker."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
import yaml
from sklearn.ensemble import HistGradientBoostingClassifier

from tests.docs.snippets import ROOT, commands, snippets
from tests.loans import loan_table
from tests.servers.kafka_broker import KafkaCluster
from tests.servers.process import LOOPBACK, ServerProcess, free_port, wait_until

pytestmark = pytest.mark.timeout(600)
README = ROOT / "README.md"
BIN = Path(sys.executable).parent
_YAML = re.compile(r"^```yaml\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
BROKER = "localhost:9092"
PAGES = "http://127.0.0.1:8080"


def files() -> dict[str, str]:
    """Return the files that the README shows, by name."""
    shown = [found["body"] for found in _YAML.finditer(README.read_text(encoding="utf-8"))]
    named = {body.partition("\n")[0].removeprefix("# "): body for body in shown if body.startswith("# ")}
    (schema,) = [body for body in shown if "columns:" in body]
    return {"model.yaml": schema, **named}


def lines() -> list[str]:
    """Return the `mlhealth` commands that this test runs, in order."""
    chosen = [
        s
        for s in snippets(README)
        if s.mark == "run by tests/docs/test_readme.py" and s.language == "console"
    ]
    return [line.partition("#")[0].strip() for snippet in chosen for line in commands(snippet).splitlines()]


@dataclass(frozen=True)
class Desk:
    """A newcomer's folder, with the files of the README and two tables."""

    folder: Path
    environment: dict[str, str]

    def run(self, line: str) -> str:
        """Run a command in the folder and return its stdout."""
        done = subprocess.run(
            line.split(), cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False,
            timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, f"{line}: {done.stdout}{done.stderr}"
        return done.stdout


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """The folder as it is before the first command."""
    folder = tmp_path_factory.mktemp("readme")
    for name, text in files().items():
        (folder / name).write_text(text)
    table = loan_table(4_000).drop_columns(["event_id"]).to_pandas()
    table.iloc[:2_000].to_parquet(folder / "reference.parquet")
    table.iloc[2_000:].drop(columns="y_true").to_parquet(folder / "production.parquet")
    environment = os.environ | {
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "ONCALL_SECRET": "s",
        "OMP_NUM_THREADS": "1",
    }
    made = Desk(folder, environment)
    for line in lines()[:1]:
        made.run(line)
    return made


def test_the_readme_shows_files_and_commands() -> None:
    """The search finds what there is, so that nothing of it can leave this test in silence."""
    assert set(files()) == {"model.yaml", "mlhealth.yaml", "rules.yaml"}
    assert [line.split()[1] for line in lines()] == ["baseline", "estimate", "baseline", "serve", "replay"]


def test_from_a_file_to_a_number(desk: Desk) -> None:
    """The first commands fit a baseline and print an estimate of accuracy for each day."""
    told = desk.run(lines()[1])
    assert "accuracy" in told
    assert "2026-01-03" in told


def test_the_same_from_python(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The Python example runs on the same frames with a fitted model, and prints the estimate of each day."""
    monkeypatch.chdir(desk.folder)
    (example,) = [s for s in snippets(README) if s.language == "python"]
    features = ["income", "debt", "owner"]
    reference, production = (numbers_of(desk, name) for name in ("reference", "production"))
    model = HistGradientBoostingClassifier(max_iter=30, random_state=0).fit(
        reference[features], reference["y_true"]
    )
    for frame in (reference, production):
        frame["y_score"] = model.predict_proba(frame[features])[:, 1]
        frame["y_pred"] = (frame["y_score"] >= 0.5).astype(int)
    exec(
        compile(example.body, example.place, "exec"),
        {"reference": reference, "production": production, "model": model},
    )
    assert len(capsys.readouterr().out.strip().splitlines()) >= 1 + 2


def numbers_of(desk: Desk, name: str) -> pd.DataFrame:
    """Return one of the newcomer's tables without its text, which the model would have to encode first."""
    return pd.read_parquet(desk.folder / f"{name}.parquet").drop(columns="region")


@pytest.fixture
def service(desk: Desk, kafka: KafkaCluster) -> Iterator[tuple[str, KafkaCluster]]:
    """The service of the README, at the address of its pages; only the broker's and the pages' ports are others."""
    config = desk.folder / "mlhealth.yaml"
    text = config.read_text()
    assert BROKER in text
    port = free_port()
    config.write_text(text.replace(BROKER, kafka.bootstrap) + f"listen: {{port: {port}}}\n")
    kafka.create_topic("inference-log", partitions=3)
    push, serve, _ = lines()[2:]
    desk.run(push)
    command = ["sh", "-c", f"cd {desk.folder} && exec {serve}"]
    process = ServerProcess(command, desk.folder / "serve.log", env=desk.environment)
    process.start()
    address = f"http://{LOOPBACK}:{port}"
    process.wait_ready(lambda: answers(f"{address}/readyz"), timeout=120)
    yield address, kafka
    process.stop()


def answers(url: str) -> bool:
    """Whether an address answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_five_minutes_with_kafka(desk: Desk, service: tuple[str, KafkaCluster]) -> None:
    """Pushed, served and replayed, the log of two days becomes hourly reports of all its rows on the pages."""
    address, broker = service
    assert PAGES in README.read_text(encoding="utf-8")
    desk.run(f"{lines()[4]} --bootstrap {broker.bootstrap}")

    def rows() -> int:
        with urllib.request.urlopen(
            f"{address}/v1/models/loan-default/versions/3/windows?limit=100"
        ) as answer:
            return sum(window["rows"] for window in yaml.safe_load(answer.read()))

    wait_until(lambda: rows() == 2_000, what="2,000 rows in reports", timeout=240, interval=1)
