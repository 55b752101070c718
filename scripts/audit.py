"""`python -m scripts.audit`: known weaknesses of the installed packages, by pip-audit, and what it could not ask about.

1 where a package has a weakness. Where the index of weaknesses cannot be reached, or does not know packages, that is
said; with `--strict` it is an error too, as it must be before a release.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ASKED = "--skip-editable --progress-spinner off --desc off --format json --timeout 10"


def verdict(found: list[dict[str, Any]], *, strict: bool) -> tuple[int, list[str]]:
    """Return an exit code and lines, of what pip-audit says of each package.

    >>> verdict([{"name": "a", "version": "1", "vulns": [{"id": "CVE-1", "fix_versions": ["2"]}]}], strict=False)
    (1, ['a 1: CVE-1, mended in 2', '1 of 1 packages audited, 1 weaknesses'])
    >>> verdict([{"name": "a", "skip_reason": "not found"}], strict=True)
    (1, ['not audited, because the index does not answer for them: a', '0 of 1 packages audited, 0 weaknesses'])
    """
    lines = [
        f"{package['name']} {package['version']}: {weakness['id']}, mended in {', '.join(weakness['fix_versions'])}"
        for package in found
        for weakness in package.get("vulns", ())
    ]
    weak, skipped = len(lines), [package["name"] for package in found if "skip_reason" in package]
    if skipped:
        named = ", ".join(skipped[:10]) + (", …" if len(skipped) > 10 else "")
        lines.append(f"not audited, because the index does not answer for them: {named}")
    lines.append(f"{len(found) - len(skipped)} of {len(found)} packages audited, {weak} weaknesses")
    return int(weak > 0 or (strict and bool(skipped))), lines


def main() -> int:
    """Ask, and tell."""
    strict, program = "--strict" in sys.argv, str(Path(sys.executable).parent / "pip-audit")
    ran = subprocess.run([program, *ASKED.split()], capture_output=True, text=True, check=False)  # noqa: S603
    try:
        found = json.loads(ran.stdout)["dependencies"]
    except (ValueError, KeyError):
        said = ran.stderr.strip().splitlines() or ["it said nothing"]
        print(f"nothing audited: pip-audit could not ask: {said[-1]}")  # noqa: T201
        return int(strict)
    code, lines = verdict([p for p in found if p["name"] != "mlhealth"], strict=strict)
    print("\n".join(lines))  # noqa: T201
    return code


if __name__ == "__main__":
    sys.exit(main())
