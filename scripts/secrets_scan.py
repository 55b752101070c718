"""`python -m scripts.secrets_scan`: look for what looks like a secret in every file that git knows."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
PATTERNS = {
    "private key": re.compile(r"-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----\s+[A-Za-z0-9+/]{20}"),
    "AWS access key": re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{16}\b"),
    "GitHub token": re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{60,}\b"),
    "Slack token or webhook": re.compile(
        r"\bxox[abprs]-[0-9]{8,}-[A-Za-z0-9-]{10,}|hooks\.slack\.com/services/T[A-Z0-9]{8,}/B[A-Z0-9]{8,}/\w{20,}"
    ),
    "Google API key": re.compile(r"\bAIza[A-Za-z0-9_-]{35}\b"),
    "mlhealth token": re.compile(r"\bmlh_[0-9a-f]{8}_[A-Za-z0-9_-]{43}\b"),
    "JSON Web Token": re.compile(r"\beyJ[A-Za-z0-9_-]{15,}\.eyJ[A-Za-z0-9_-]{15,}\.[A-Za-z0-9_-]{20,}"),
    "password in a URL": re.compile(
        r"\b[a-z][a-z0-9+]*://(?P<user>[^\s/:@{}$<>]+):(?!(?P=user)@|x+@|password@|secret@)[^\s/:@${}<>]{8,}@"
    ),
}
LARGEST = 2_000_000


def findings(name: str, text: str) -> list[str]:
    """Return where a text holds what looks like a secret, without the secret.

    >>> findings("a.py", "key = 'AKIA" + "ABCDEFGHIJKLMNOP'")
    ['a.py:1: looks like an AWS access key']
    """
    found = []
    for kind, pattern in PATTERNS.items():
        for match in pattern.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            article = "an" if kind[0] in "AEIOU" else "a"
            found.append(f"{name}:{line}: looks like {article} {kind}")
    return found


def main() -> int:
    """Scan the checkout; 1 where anything was found."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout  # noqa: S607
    found: list[str] = []
    for name in listed.decode().split("\0"):
        path = ROOT / name
        if not name or path.is_symlink() or not path.is_file() or path.stat().st_size > LARGEST:
            continue
        found += findings(name, path.read_text(encoding="utf-8", errors="ignore"))
    print("\n".join(found) or "no secrets in the files that git knows")  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
