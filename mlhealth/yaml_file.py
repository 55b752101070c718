"""YAML files into strict pydantic models; every mistake is one line that names file, line, key and remedy."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from mlhealth.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)
Location = tuple[int | str, ...]


def load_yaml(path: Path, model: type[Model]) -> Model:
    """Return the file at `path` as a `model`; raises ConfigError in one line naming file, line and key."""
    return parse_yaml(read_text(path), model, name=str(path))


def read_text(path: Path) -> str:
    """Return the text of a file; raises ConfigError where it is missing, a folder or not UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path}: is a folder, a YAML file is needed") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path}: is not UTF-8 text, a YAML file is needed") from None
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror})") from None


def parse_yaml(text: str, model: type[Model], *, name: str) -> Model:
    """Return `text` as a `model`; `name` is how messages call the file."""
    root = _compose(text, name)
    data = yaml.safe_load(text) if root is not None else None
    if not isinstance(data, dict):
        raise ConfigError(f"{name}: is empty" if data is None else f"{name}: must hold keys and values at its top level")
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_explain(error, root, model, name)) from None


def suggestion(word: str, known: Sequence[str]) -> str:
    """Return `; did you mean 'x'?` for the nearest of `known`, or nothing.

    >>> suggestion("lable", ["label", "model"])
    "; did you mean 'label'?"
    """
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else ""


def _compose(text: str, name: str) -> yaml.Node | None:
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{name}{line}: is not valid YAML: {error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: is not valid YAML: {str(error).splitlines()[0]}") from None
    for key, line in _repeated(root):
        raise ConfigError(f"{name}:{line}: key {key!r} is written twice; keep one")
    return root


def _repeated(node: yaml.Node | None) -> Iterator[tuple[str, int]]:
    if isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            if key.value in seen and key.value != "<<":
                yield key.value, key.start_mark.line + 1
            seen.add(key.value)
            yield from _repeated(value)
    elif isinstance(node, yaml.SequenceNode):
        for item in node.value:
            yield from _repeated(item)


def _explain(error: ValidationError, root: yaml.Node | None, model: type[BaseModel], name: str) -> str:
    first = min(error.errors(include_url=False), key=lambda e: e["type"] != "extra_forbidden")
    path, line = _place(root, first["loc"])
    key = ".".join(str(part) for part in path)
    if first["type"] == "extra_forbidden":
        known = _known_keys(model, path[:-1])
        said = suggestion(str(path[-1]), known) or (f"; known keys are {', '.join(known)}" if known else "")
        return f"{name}:{line}: unknown key {key!r}{said}"
    if first["type"] == "missing":
        missing = ".".join(str(part) for part in (*path, *first["loc"][len(path) :][:1]))
        return f"{name}:{line}: key {missing!r} is missing"
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    return f"{name}:{line}: key {key!r}: {message}"


def _place(node: yaml.Node | None, loc: Location) -> tuple[Location, int]:
    """Return the part of `loc` that the file really has, and its line; pydantic's own tags are skipped."""
    path: list[int | str] = []
    line = 1
    for part in loc:
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(part)), None)
            if found is None:
                continue
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
            node = node.value[part]
            line = node.start_mark.line + 1
        else:
            continue
        path.append(part)
    return tuple(path), line


def _known_keys(model: type[BaseModel], path: Location) -> tuple[str, ...]:
    current: type[BaseModel] | None = model
    for part in path:
        if current is None or not isinstance(part, str) or part not in current.model_fields:
            continue
        current = next(iter(_models(current.model_fields[part].annotation)), None)
    return tuple(current.model_fields) if current else ()


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
