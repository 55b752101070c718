"""The house installs as it is drawn: rooms at the root, `mlhealth.<room>` for whoever imports them."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
ROOMS = ("detectors", "alerts", "dashboards")
HEAVY = (
    "numpy",
    "pandas",
    "scipy",
    "sklearn",
    "pyarrow",
    "kafka",
    "sqlalchemy",
    "fastapi",
    "plotly",
    "pydantic",
    "typer",
)


def _package_folders() -> dict[str, Path]:
    """Every folder with an `__init__.py`, by the name it must install as."""
    roots = {"mlhealth": ROOT / "mlhealth", **{f"mlhealth.{room}": ROOT / room for room in ROOMS}}
    found: dict[str, Path] = {}
    for name, root in roots.items():
        for init in root.rglob("__init__.py"):
            inner = init.parent.relative_to(root).parts
            if name != "mlhealth" or not inner or inner[0] not in ROOMS:
                found[".".join([name, *inner])] = init.parent
    return found


def _modules() -> set[str]:
    """Every module's path inside the wheel."""
    return {
        f"{name.replace('.', '/')}/{file.name}"
        for name, folder in _package_folders().items()
        for file in folder.glob("*.py")
    }


def _run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project's wheel, built from a copy so that the checkout stays clean."""
    out = tmp_path_factory.mktemp("wheel")
    source = out / "source"
    source.mkdir()
    for name in ("mlhealth", *ROOMS, "pyproject.toml", "LICENSE", "README.md"):
        if (ROOT / name).exists():
            _run("cp", "-a", ROOT / name, source / name).check_returncode()
    built = _run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", out, source)
    assert built.returncode == 0, built.stdout + built.stderr
    (file,) = out.glob("*.whl")
    return file


def test_every_package_is_listed() -> None:
    """Each folder with an `__init__.py` is in pyproject's list of packages: one left out would miss from the wheel."""
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(listed) == sorted(_package_folders())


@pytest.mark.parametrize("room", ROOMS)
def test_room_links_to_the_root_folder(room: str) -> None:
    """`mlhealth/<room>` is a relative link, so that type checkers see what is installed."""
    assert (ROOT / "mlhealth" / room).readlink() == Path("..") / room


def test_bare_import_is_light() -> None:
    """`import mlhealth` loads no heavy library and fewer than 20 modules of its own."""
    show = "import sys, mlhealth; print(*sys.modules)"
    loaded = _run(sys.executable, "-c", show).stdout.split()
    assert "mlhealth" in loaded
    assert not {name.partition(".")[0] for name in loaded} & set(HEAVY)
    assert sum(name.startswith("mlhealth") for name in loaded) < 20


def test_core_install_has_no_service() -> None:
    """The core's dependencies name no web framework, database layer or plotting library: those are extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    core = " ".join(project["dependencies"]).lower()
    assert not [
        name
        for name in ("fastapi", "uvicorn", "sqlalchemy", "alembic", "plotly", "confluent")
        if name in core
    ]


def test_the_python_api_needs_nothing_of_the_service() -> None:
    """Fitting, estimating and plotting import no package that only `mlhealth[service]` brings."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    plot = {"plotly"}
    service = {re.split(r"[\[>=<]", name)[0] for name in project["optional-dependencies"]["service"]} - plot
    core = {re.split(r"[\[>=<]", name)[0] for name in project["dependencies"]}
    blocked = sorted(name.replace("-", "_") for name in service - core)
    assert {"sqlalchemy", "fastapi"} <= set(blocked)
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({blocked}))\n"
        "import mlhealth as mh\n"
        "from tests.loans import loan_baseline, loan_table\n"
        "baseline = mh.Baseline(loan_baseline())\n"
        "report = baseline.estimate(loan_table(500, seed=1), window_rows=250)\n"
        "for what in ('performance', 'health', 'drift'): mh.plot(report, what)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_command_of_an_extra_that_is_not_installed_is_one_line() -> None:
    """Without the service's packages, `mlhealth serve` says in one line what to install."""
    program = (
        "import sys; sys.modules['httpx'] = None; sys.argv = ['mlhealth', 'serve']\n"
        "from mlhealth.cli import main; main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == "error: this needs httpx: pip install 'mlhealth[service]'\n"


@pytest.mark.slow
def test_wheel_holds_every_module_and_nothing_generic(wheel: Path) -> None:
    """The wheel has the checkout's modules, the type marker, and only `mlhealth` at its top level."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"mlhealth"}
    assert {name for name in names if name.endswith(".py")} == _modules()
    assert "mlhealth/py.typed" in names


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a fresh environment with the wheel; its dependencies are those of this test run."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    _run(sys.executable, "-m", "venv", "--without-pip", home).check_returncode()
    python = home / "bin" / "python"
    done = _run(
        sys.executable, "-m", "uv", "pip", "install", "--offline", "--no-deps", "--python", python, wheel
    )
    assert done.returncode == 0, done.stderr
    # The dependencies come after the wheel on the path, and their own .pth files are not read.
    site = next((home / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(f"{Path(np.__file__).parents[1]}\n")
    return python


@pytest.mark.slow
def test_installed_wheel_imports_only_under_mlhealth(installed: Path) -> None:
    """In a fresh environment `mlhealth.detectors` imports from the wheel, and bare `detectors` does not."""
    rooms = ", ".join(f"mlhealth.{room}" for room in ROOMS)
    imported = _run(installed, "-I", "-c", f"import {rooms}; print(mlhealth.detectors.__file__)")
    assert imported.stdout.startswith(str(installed.parents[1])), imported.stderr
    for room in ROOMS:
        assert "ModuleNotFoundError" in _run(installed, "-I", "-c", f"import {room}").stderr


@pytest.mark.slow
def test_newcomer_gets_an_estimate_from_the_wheel(installed: Path) -> None:
    """The example script runs on what is installed, far from the checkout."""
    told = _run(installed, "-I", ROOT / "examples" / "scikit_learn.py")
    assert told.returncode == 0, told.stderr
    assert "critical" in told.stdout
