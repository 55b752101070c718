"""What an install costs: megabytes, packages and import seconds of mlhealth and its peers, each in its own environment.

`make bench-startup`. Environments are kept in `.cache/bench-startup`. Sizes leave byte code out; import seconds are the
median of five fresh interpreters after one that is not counted (it writes the byte code).
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.results import ROOT, Cell, markdown_table, write_results

CACHE = ROOT / ".cache" / "bench-startup"
REPEATS = 5
GOALS = {"core_mb": 450.0, "core_packages": 45, "core_import_seconds": 1.0}


@dataclass(frozen=True)
class Subject:
    """Something to install and import; `requirements` None stands for this checkout's wheel."""

    key: str
    name: str
    requirements: tuple[str, ...]
    imports: str


SUBJECTS = (
    Subject("core", "mlhealth (core)", ("{wheel}",), "mlhealth"),
    Subject("cli", "mlhealth (core), the command line", ("{wheel}",), "mlhealth.cli"),
    Subject("service", "mlhealth[service]", ("{wheel}[service]",), "mlhealth"),
    # NannyML 0.13.1 does not import without statsmodels, which it does not ask for.
    Subject("nannyml", "NannyML 0.13.1 + statsmodels", ("nannyml==0.13.1", "statsmodels"), "nannyml"),
    Subject("evidently", "Evidently", ("evidently",), "evidently"),
    Subject("whylogs", "whylogs", ("whylogs",), "whylogs"),
)


def _run(*command: str | Path, timeout: float = 900.0) -> subprocess.CompletedProcess[str]:
    # Peers may report usage on import: it is switched off, since it would be measured.
    env = {
        **os.environ,
        "NML_DISABLE_USAGE_LOGGING": "1",
        "DO_NOT_TRACK": "1",
        "WHYLOGS_NO_ANALYTICS": "True",
    }
    words = [str(part) for part in command]
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=timeout, env=env)


def build_wheel() -> Path:
    """Build this checkout's wheel into the cache and return it."""
    source, out = CACHE / "source", CACHE / "wheel"
    for folder in (source, out):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    for name in ("mlhealth", "detectors", "alerts", "dashboards", "pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            _run("cp", "-a", ROOT / name, source / name).check_returncode()
    _run(
        sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source
    ).check_returncode()
    return next(out.glob("*.whl"))


def environment(subject: Subject, wheel: Path) -> tuple[Path, str | None]:
    """Make the subject's environment if it is not there; return its Python and what went wrong."""
    home = CACHE / ("core" if subject.key == "cli" else subject.key)
    python = home / "bin" / "python"
    own = any("{wheel}" in text for text in subject.requirements)
    if python.exists() and not own:
        return python, None
    if not (own and python.exists() and subject.key == "cli"):
        shutil.rmtree(home, ignore_errors=True)
        _run(sys.executable, "-m", "uv", "venv", "-q", "--python", sys.executable, home).check_returncode()
    wanted = [text.format(wheel=wheel) for text in subject.requirements]
    done = _run(sys.executable, "-m", "uv", "pip", "install", "-q", "--python", python, *wanted)
    if done.returncode:
        shutil.rmtree(home, ignore_errors=True)
        return python, _last_line(done.stderr)
    return python, None


def size_mb(python: Path) -> float:
    """Return the megabytes (10^6) of the environment's packages, byte code left out."""
    site = next((python.parents[1] / "lib").glob("python*/site-packages"))
    files = (
        Path(top, name) for top, _, names in os.walk(site) for name in names if not name.endswith(".pyc")
    )
    return sum(file.lstat().st_size for file in files) / 1e6


def packages(python: Path) -> list[str]:
    """Return `name==version` of everything installed there."""
    return _run(sys.executable, "-m", "uv", "pip", "freeze", "--python", python).stdout.split("\n")[:-1]


def import_seconds(python: Path, module: str) -> tuple[float | None, str | None]:
    """Return the median seconds of the import alone, or the error's last line."""
    code = f"import time; t = time.perf_counter(); import {module}; print(time.perf_counter() - t)"
    runs = [_run(python, "-W", "ignore", "-c", code) for _ in range(REPEATS + 1)]
    if failed := next((run for run in runs if run.returncode), None):
        return None, _last_line(failed.stderr)
    return statistics.median(float(run.stdout.split()[-1]) for run in runs[1:]), None


def _last_line(text: str) -> str:
    return next((line.strip() for line in reversed(text.splitlines()) if line.strip()), "no message")[:90]


def measure(subject: Subject, wheel: Path) -> tuple[dict[str, Cell], dict[str, str]]:
    """Return the subject's row of the table and the version of its main package."""
    python, error = environment(subject, wheel)
    row: dict[str, Cell] = {
        "install": subject.name,
        "MB": None,
        "packages": None,
        "import s": None,
        "note": error or "",
    }
    if error:
        return row, {}
    frozen = packages(python)
    seconds, failure = import_seconds(python, subject.imports)
    rounded = None if seconds is None else round(seconds, 3)
    row |= {
        "MB": round(size_mb(python), 1),
        "packages": len(frozen),
        "import s": rounded,
        "note": failure or "",
    }
    main = subject.imports.partition(".")[0]
    return row, dict(
        line.split("==", 1) for line in frozen if line.startswith(f"{main}==") and main != "mlhealth"
    )


def main() -> None:
    """Measure every subject, print the table and the goals, write the results."""
    wheel = build_wheel()
    rows: list[dict[str, Cell]] = []
    figures: dict[str, Cell] = {}
    versions: dict[str, str] = {}
    for subject in SUBJECTS:
        row, found = measure(subject, wheel)
        rows.append(row)
        versions |= found
        for figure, column in (("mb", "MB"), ("packages", "packages"), ("import_seconds", "import s")):
            figures[f"{subject.key}_{figure}"] = row[column]
    print(markdown_table(rows))
    for name, goal in GOALS.items():
        value = figures[name]
        met = isinstance(value, float | int) and value <= goal
        print(f"{'met   ' if met else 'MISSED'} {name}: {value} (goal {goal})")
    print(write_results("startup", figures, rows, versions=versions))


if __name__ == "__main__":
    main()
