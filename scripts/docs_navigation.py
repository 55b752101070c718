"""The site's navigation: chapters in the order in which people need them, and in each every page that is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

CHAPTERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Start", ("index.md", "tutorials/first-estimate.md", "tutorials/command-line.md", "tutorials/*.md")),
    (
        "Concepts",
        (
            "concepts/how-a-number-comes-about.md",
            "concepts/*.md",
            "estimation.md",
            "detectors.md",
            "alarms.md",
        ),
    ),
    ("How to", ("how-to/*.md", "alerts.md", "versions.md", "web.md", "security.md")),
    ("Serving systems, receivers, training", ("serving/*.md", "receivers/*.md", "training/*.md")),
    ("Operations", ("operations/*.md",)),
    ("Reference", ("reference/*.md",)),
    ("Decisions", ("decisions/README.md", "decisions/*.md")),
    ("More", ("**/*.md",)),
)


def navigation(docs: Path) -> list[dict[str, list[str]]]:
    """Return MkDocs' `nav`: each page once, in the first chapter whose patterns name it."""
    taken: set[str] = set()
    chapters: list[dict[str, list[str]]] = []
    for title, patterns in CHAPTERS:
        found = [
            path.relative_to(docs).as_posix() for pattern in patterns for path in sorted(docs.glob(pattern))
        ]
        pages = [page for page in dict.fromkeys(found) if page not in taken]
        taken.update(pages)
        if pages:
            chapters.append({title: pages})
    return chapters


def on_config(config: Any) -> Any:
    """Fill in the navigation (a MkDocs hook)."""
    config["nav"] = navigation(Path(config["docs_dir"]))
    return config
