"""Write the reference pages of the documentation from the code: `python -m scripts.docs_reference`.

The pages are kept in the repository, so that a change of a command, key, metric or route shows in review; a test holds
them to the code.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer.main
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase

import mlhealth
from mlhealth.alerts.rule_tests import json_schema as tests_schema
from mlhealth.alerts.rules import json_schema as rules_schema
from mlhealth.clock import format_duration
from mlhealth.config.service import json_schema

FOLDER = Path(__file__).parents[1] / "docs" / "reference"
MADE = "<!-- Made by `python -m scripts.docs_reference`; edits are lost. -->"


def pages() -> dict[str, str]:
    """Return the text of every generated file, by name."""
    made: dict[str, Callable[[], str]] = {
        "cli.md": command_line,
        "configuration.md": configuration,
        "metrics.md": metrics,
        "http.md": http,
        "python.md": python,
    }
    texts = {name: f"{MADE}\n{page().rstrip()}\n" for name, page in made.items()}
    schemas = {"mlhealth": json_schema(), "rules": rules_schema(), "rule-tests": tests_schema()}
    return texts | {
        f"{name}.schema.json": json.dumps(made, indent=1) + "\n" for name, made in schemas.items()
    }


def main() -> None:
    """Write the pages."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, encoding="utf-8")


def command_line() -> str:
    """Return every command with its arguments and options."""
    from mlhealth.cli import app

    root: Any = typer.main.get_command(app)
    head = (
        "# Command line\n\nResults go to standard output, everything else to standard error. A mistake in what was "
        "given is one line and exit code 2.\n"
    )
    return head + "".join(_command(command, ("mlhealth", *names)) for command, names in _commands(root, ()))


def _commands(command: Any, names: tuple[str, ...]) -> Iterator[tuple[Any, tuple[str, ...]]]:
    """Yield every command below a group; typer brings its own copy of click, so classes are not asked for."""
    for name, child in getattr(command, "commands", {}).items():
        if child.hidden:
            continue
        yield from _commands(child, (*names, name))
    if not hasattr(command, "commands"):
        yield command, names


def _command(command: Any, names: tuple[str, ...]) -> str:
    rows = [_parameter(parameter) for parameter in command.params]
    table = _table(("argument or option", "meaning", "default"), rows) if rows else ""
    return f"\n## {' '.join(names)}\n\n{_prose(command.help or '')}\n{table}"


def _parameter(parameter: Any) -> tuple[str, str, str]:
    is_option = parameter.param_type_name == "option"
    flags = [*parameter.opts, *parameter.secondary_opts] if is_option else [parameter.name.upper()]
    default = parameter.default
    shown = (
        "" if default is None or callable(default) or isinstance(default, bool) else _code(_plain(default))
    )
    shown = "required" if parameter.required else shown
    return ", ".join(f"`{flag}`" for flag in flags), str(getattr(parameter, "help", None) or ""), shown


def configuration() -> str:
    """Return every key of `mlhealth.yaml`, block by block."""
    schema = json_schema()
    head = (
        "# Configuration\n\n`mlhealth.yaml` is read strictly: a key that is not known is a mistake, told with its "
        "line. `${NAME}` and `${NAME:-default}` are filled in from the environment; file names are relative to the "
        "file. Durations are written like `30s`, `15m`, `1h`, `90d`. For completion in an editor, begin the file "
        "with `# yaml-language-server: $schema=` and the path of `docs/reference/mlhealth.schema.json`.\n"
    )
    blocks = {"The file": schema} | schema["$defs"]
    return head + "".join(_block(name, block) for name, block in blocks.items())


def _block(name: str, block: Mapping[str, Any]) -> str:
    rows = [
        (f"`{key}`", _type(value), _default(key, value, block))
        for key, value in block.get("properties", {}).items()
    ]
    table = _table(("key", "type", "default"), rows)
    return f"\n## {name}\n\n{_prose(block.get('description', ''))}\n{table}"


def _type(value: Mapping[str, Any]) -> str:
    if "$ref" in value:
        name = value["$ref"].rsplit("/", 1)[-1]
        return f"[{name}](#{name.lower()})"
    if "anyOf" in value:
        return " or ".join(_type(option) for option in value["anyOf"] if option.get("type") != "null")
    if "enum" in value:
        return ", ".join(f"`{option}`" for option in value["enum"])
    if value.get("type") == "array":
        return f"list of {_type(value.get('items', {}))}"
    if value.get("type") == "object":
        inner = value.get("additionalProperties", {})
        return f"mapping to {_type(inner)}" if isinstance(inner, Mapping) else "mapping"
    return str("duration" if _is_duration(value) else value.get("type", "any"))


def _is_duration(value: Mapping[str, Any]) -> bool:
    options = [value, *value.get("anyOf", ())]
    return any(option.get("examples") == ["15m"] for option in options)


def _default(key: str, value: Mapping[str, Any], block: Mapping[str, Any]) -> str:
    if key in block.get("required", ()):
        return "required"
    default = value.get("default")
    if default is None or default in ([], {}):
        return ""
    if _is_duration(value) and isinstance(default, int):
        return _code(format_duration(default))
    return "" if isinstance(default, Mapping) else _code(_plain(default))


def metrics() -> str:
    """Return every Prometheus metric with its type and labels."""
    from mlhealth.metrics import ALERT, Metrics

    found = [m for m in Metrics(CollectorRegistry()).made.values() if isinstance(m, MetricWrapperBase)]
    rows = []
    for metric in found:
        (family,) = metric.describe()
        suffix = {"counter": "_total", "info": "_info"}.get(family.type, "")
        labels = ", ".join(f"`{label}`" for label in metric._labelnames)  # noqa: SLF001 (told nowhere else)
        rows.append((f"`{family.name}{suffix}`", family.type, labels, family.documentation))
    named = ", ".join(f"`{label}`" for label in ALERT)
    rows.append(("`mlhealth_alert_active`", "gauge", named, "1 while an alert fires, by the store."))
    head = (
        "# Metrics\n\n`/metrics` answers in the Prometheus text format, to a token with the scope `read`. Gauges tell "
        "the latest window; its event time is `mlhealth_window_end_timestamp_seconds`. Counters count this process. "
        "A metric has at most 5,000 series; what had to be left out is counted in `mlhealth_series_left_out_total`.\n\n"
    )
    return head + _table(("name", "type", "labels", "meaning"), rows)


def http() -> str:
    """Return every route of the API with its parameters."""
    with TemporaryDirectory() as folder:
        described = _application(Path(folder)).openapi()
    routes = [
        _route(verb, path, operation)
        for path, verbs in described["paths"].items()
        for verb, operation in verbs.items()
    ]
    head = (
        "# HTTP API\n\nA running service describes itself at `/openapi.json`, and for people at `/docs`. Times are "
        "integer microseconds since the epoch (UTC). A program shows its token as `Authorization: Bearer …`. "
        "What goes wrong is told as JSON with the key `detail`.\n"
    )
    return head + "".join(routes)


def _application(folder: Path) -> FastAPI:
    from mlhealth.api.app import create_app
    from mlhealth.api.services import Services
    from mlhealth.queries.reports import Queries
    from mlhealth.store import schema
    from mlhealth.store.database import Database
    from mlhealth.store.tokens import Tokens

    database = Database.open(f"sqlite:///{folder / 'docs.db'}")
    schema.ensure(database)
    app = create_app(Services(queries=Queries(database), tokens=Tokens(database)))
    database.close()
    return app


def _route(verb: str, path: str, operation: Mapping[str, Any]) -> str:
    rows = [
        (f"`{p['name']}`", p["in"], str(p.get("description", "")), "required" if p.get("required") else "")
        for p in operation.get("parameters", ())
    ]
    table = _table(("parameter", "in", "meaning", ""), rows) if rows else ""
    told = _prose(operation.get("description", ""))
    return f"\n## {verb.upper()} {path}\n\n{operation.get('summary', '')}\n\n{told}\n{table}"


def python() -> str:
    """Return the public names of `import mlhealth as mh` with signatures and docstrings."""
    parts = [
        "# Python\n\n`import mlhealth as mh` loads nothing; each name loads what it needs when it is first used.\n"
    ]
    for name in mlhealth.__all__:
        found = getattr(mlhealth, name)
        if inspect.isfunction(found):
            parts.append(_documented(f"mh.{name}", found, "##"))
        elif inspect.isclass(found):
            parts.append(f"\n## mh.{name}\n\n{_prose(inspect.getdoc(found) or '')}\n")
            members = [(n, m) for n, m in vars(found).items() if not n.startswith("_")]
            parts += [_member(name, member, value) for member, value in members]
    return "".join(parts)


def _member(owner: str, name: str, value: object) -> str:
    if isinstance(value, property):
        return f"\n### {owner}.{name}\n\n{_prose(inspect.getdoc(value) or '')}\n"
    found = value.__func__ if isinstance(value, classmethod) else value
    return _documented(f"{owner}.{name}", found, "###") if inspect.isfunction(found) else ""


def _documented(name: str, function: Callable[..., object], level: str) -> str:
    signature = (
        str(inspect.signature(function)).replace("'", "").replace("(self, ", "(").replace("(self)", "()")
    )
    signature = signature.replace("(cls, ", "(")
    text = _prose(inspect.getdoc(function) or "")
    return f"\n{level} {name}\n\n```text\n{name}{signature}\n```\n\n{text}\n"


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _prose(text: str) -> str:
    return inspect.cleandoc(text) + "\n" if text else ""


def _code(text: str) -> str:
    return f"`{text}`" if text else ""


def _plain(value: object) -> str:
    return str(getattr(value, "value", value))


if __name__ == "__main__":
    main()
