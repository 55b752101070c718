"""What each extra adds to an install: megabytes and packages beside the core's, each in an environment of its own.

`make bench-extras`. Writes the table into docs/how-to/install.md. Environments are made one after another and removed
again; the largest (Spark, Ray) need about a gigabyte each.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from benchmarks.results import ROOT, Cell, markdown_table, write_results
from benchmarks.startup import build_wheel, packages, size_mb

PAGE = ROOT / "docs" / "how-to" / "install.md"
BEGIN, END = "<!-- sizes: written by make bench-extras -->", "<!-- end of sizes -->"
FOR_CONTRIBUTORS = ("dev", "docs")


def extras() -> list[str]:
    """Return the extras that users install, by name."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [name for name in project["optional-dependencies"] if name not in FOR_CONTRIBUTORS]


def installed(requirement: str) -> tuple[float, set[str]]:
    """Return the megabytes and the packages' names of a fresh environment with that requirement."""
    home = ROOT / ".cache" / "bench-extras"
    shutil.rmtree(home, ignore_errors=True)
    python = home / "bin" / "python"
    for command in (
        ("venv", "-q", "--python", sys.executable, str(home)),
        ("pip", "install", "-q", "--python", str(python), requirement),
    ):
        subprocess.run([sys.executable, "-m", "uv", *command], check=True)
    try:
        return size_mb(python), {line.partition("==")[0].partition(" @")[0] for line in packages(python)}
    finally:
        shutil.rmtree(home, ignore_errors=True)


def measure(wheel: Path) -> list[dict[str, Cell]]:
    """Return a row for the core and one for each extra: what it adds."""
    core_mb, core = installed(str(wheel))
    rows: list[dict[str, Cell]] = [
        {"install": "`mlhealth`", "adds MB": round(core_mb), "adds packages": len(core)}
    ]
    for extra in extras():
        try:
            mb, names = installed(f"{wheel}[{extra}]")
        except subprocess.CalledProcessError:
            rows.append({"install": f"`mlhealth[{extra}]`", "adds MB": None, "adds packages": None})
            continue
        rows.append(
            {
                "install": f"`mlhealth[{extra}]`",
                "adds MB": max(round(mb - core_mb), 0),
                "adds packages": len(names - core),
            }
        )
        print(f"{extra}: {mb - core_mb:.0f} MB", file=sys.stderr, flush=True)
    return rows


def main() -> None:
    """Measure, print the table, write it into the page and the results."""
    rows = measure(build_wheel())
    table = markdown_table(rows)
    print(table)
    text = PAGE.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{table}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    figures = {str(row["install"]).strip("`"): row["adds MB"] for row in rows}
    print(write_results("extras", figures, rows))


if __name__ == "__main__":
    main()
