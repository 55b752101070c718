"""`python -m scripts.sbom_check FILE`: whether a bill of materials names every direct dependency, with its version."""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]


def missing(bill: dict[str, Any], wanted: Iterable[str]) -> list[str]:
    """Return the requirements of which a bill has no component with a version and an address.

    >>> known = {"name": "PyYAML", "version": "6.0", "purl": "pkg:pypi/pyyaml@6.0"}
    >>> missing({"components": [known]}, ["pyyaml>=6", "x"])
    ['x']
    """
    known = {canonicalize_name(c["name"]) for c in bill["components"] if c.get("version") and c.get("purl")}
    names = {canonicalize_name(Requirement(text).name) for text in wanted}
    return sorted(names - known)


def main() -> int:
    """Check a file; 1 where anything is missing."""
    file = Path(sys.argv[1])
    bill = json.loads(file.read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lacking = missing(bill, [*project["dependencies"], *project["optional-dependencies"]["service"]])
    told = f"{file}: {len(bill['components'])} components"
    print(f"{file}: lacks {', '.join(lacking)}" if lacking else told)  # noqa: T201
    return 1 if lacking else 0


if __name__ == "__main__":
    sys.exit(main())
