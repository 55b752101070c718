"""YAML read strictly: duplicate keys refused, and every mistake told with its file, line and key.

A document becomes plain data plus a map from each path in it to its line; `validated` feeds the data to a pydantic
model and turns the first thing pydantic refuses into one `ConfigError` line.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mlhealth.errors import ConfigError

Location = tuple[str | int, ...]
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Document:
    """A parsed file: its data, and the line (from 1) at which each path in it stands."""

    source: str
    data: Any
    lines: dict[Location, int]

    def line(self, path: Location) -> int:
        """Return the line of `path`, or of the nearest thing above it."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def error(self, path: Location, message: str) -> ConfigError:
        """Return the error `file:line: key: message`."""
        key = dotted(path)
        return ConfigError(f"{self.source}:{self.line(path)}: {f'{key}: ' if key else ''}{message}")


def dotted(path: Location) -> str:
    """Return a path as people write it.

    >>> dotted(("rules", 0, "for"))
    'rules[0].for'
    """
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(path: Path | str) -> Document:
    """Read a YAML file; raises ConfigError where it is missing, unreadable or not YAML."""
    return parse(text_of(path), str(path))


def text_of(path: Path | str) -> str:
    """Return a file's text; raises ConfigError where it is missing or unreadable."""
    file = Path(path)
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise ConfigError(f"{file}: cannot be read: {reason}; check the path and its permissions") from None


def parse(text: str, source: str = "<text>") -> Document:
    """Parse YAML text; raises ConfigError naming `source` and the line."""
    lines: dict[Location, int] = {}
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = None if node is None else _Builder(source, lines).build(node, ())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{source}:{mark.line + 1 if mark else 1}: is not YAML: {problem}") from None
    return Document(source, data, lines)


def validated(document: Document, model: type[Model]) -> Model:
    """Return the document as `model`; raises ConfigError for the first mistake, with its line."""
    if not isinstance(document.data, dict):
        raise document.error((), f"expected a mapping with the keys {', '.join(_keys(model))}")
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        first = min(
            error.errors(), key=lambda e: (_rank(e["type"]), document.line(_known(e["loc"], document)))
        )
        path = _known(first["loc"], document)
        raise document.error(path, _message(first, model, path)) from None


class _Builder:
    """Turns composed nodes into plain data, noting lines and refusing duplicate keys."""

    def __init__(self, source: str, lines: dict[Location, int]) -> None:
        self._source = source
        self._lines = lines
        self._scalars = yaml.SafeLoader("")

    def build(self, node: yaml.Node, path: Location) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return [self.build(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalars.construct_object(node, deep=True)

    def _mapping(self, node: yaml.MappingNode, path: Location) -> dict[Hashable, Any]:
        self._scalars.flatten_mapping(node)
        out: dict[Hashable, Any] = {}
        for key_node, value_node in node.value:
            key = self._scalars.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable) or isinstance(key, tuple):
                raise ConfigError(f"{self._source}:{line}: a key must be plain text")
            if key in out:
                raise ConfigError(
                    f"{self._source}:{line}: {dotted((*path, str(key)))}: the key stands here twice"
                )
            child = (*path, str(key))
            self._lines[child] = line
            out[key] = self.build(value_node, child)
        return out


def _rank(kind: str) -> int:
    """A misspelt key is the cause of a missing one, and of a list that came out too short."""
    return {"extra_forbidden": 0, "missing": 2, "too_short": 2}.get(kind, 1)


def _known(location: Location, document: Document) -> Location:
    """Return the part of pydantic's location that is in the file (it adds names of union branches)."""
    path: Location = ()
    for part in location:
        if (*path, part) in document.lines:
            path = (*path, part)
    if location and location[-1] not in path and isinstance(location[-1], str):
        return (*path, location[-1])
    return path


def _message(error: ErrorDetails, model: type[BaseModel], path: Location) -> str:
    kind = error["type"]
    if kind == "extra_forbidden":
        keys = _keys(_model_at(model, path[:-1]) or model)
        near = get_close_matches(str(path[-1]), keys, n=1)
        return "unknown key; " + (f"did you mean {near[0]}?" if near else f"known are {', '.join(keys)}")
    if kind == "missing":
        return "is missing"
    message = error["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:] if not message[:2].isupper() else message


def _keys(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_at(model: type[BaseModel], path: Location) -> type[BaseModel] | None:
    """Return the model that stands at `path` inside `model`, where it can be told from the annotations."""
    current: type[BaseModel] | None = model
    for part in path:
        if isinstance(part, int) or current is None:
            continue
        fields = {f.alias or name: f for name, f in current.model_fields.items()}
        found = _models_in(fields[part].annotation) if part in fields else [current]
        current = found[0] if len(found) == 1 else None
    return current


def _models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models_in(part)]
