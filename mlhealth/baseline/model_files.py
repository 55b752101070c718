"""scikit-learn models as skops files that depend on nothing but the model, and load nothing that is not listed."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import numpy as np
import skops.io

from mlhealth.errors import BaselineError

TRUSTED = (
    "functools.partial",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils.validation.check_array",
)
"""Types that may be loaded beside those skops trusts by itself; all hold numbers, none runs what a file says."""

_EPOCH = (1980, 1, 1, 0, 0, 0)


def dump_model(model: Any) -> bytes:
    """Return the model as skops bytes: equal for equal models, whenever and wherever they are written.

    skops names objects by their address in memory; here they are numbered in the order in which they appear.
    """
    with zipfile.ZipFile(io.BytesIO(skops.io.dumps(model))) as raw:
        schema = json.loads(raw.read("schema.json"))
        contents = {name: raw.read(name) for name in raw.namelist() if name != "schema.json"}
    files: dict[str, str] = {}
    _renumber(schema, {}, files)
    renamed = {files.get(name, name): _without_padding(body) for name, body in contents.items()}
    renamed["schema.json"] = json.dumps(schema, separators=(",", ":")).encode()
    return zip_bytes(renamed)


def load_model(blob: bytes, name: str) -> Any:
    """Return the model; raises BaselineError where it is damaged or holds a type that is not trusted."""
    try:
        foreign = sorted(set(skops.io.get_untrusted_types(data=blob)) - set(TRUSTED))
        if not foreign:
            return skops.io.loads(blob, trusted=list(TRUSTED))
    except Exception as error:  # noqa: BLE001  a damaged file can raise anything inside skops and scikit-learn
        raise BaselineError(
            f"{name}: the model cannot be read ({type(error).__name__}); fit the baseline again"
        ) from None
    raise BaselineError(
        f"{name}: the model holds type {foreign[0]}, which is not trusted; fit the baseline again"
    )


def zip_bytes(files: dict[str, bytes]) -> bytes:
    """Return a zip archive of `files`, equal for equal contents."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, date_time=_EPOCH)
            archive.writestr(entry, files[name], compress_type=zipfile.ZIP_DEFLATED, compresslevel=1)
    return sink.getvalue()


def _without_padding(body: bytes) -> bytes:
    """Return an npy file with the unused bytes between the fields of its records, if it has any, set to zero."""
    if not body.startswith(b"\x93NUMPY"):
        return body
    array = np.load(io.BytesIO(body), allow_pickle=False)
    if array.dtype.names is None:
        return body
    clean = np.zeros(array.shape, dtype=array.dtype)
    for name in array.dtype.names:
        clean[name] = array[name]
    sink = io.BytesIO()
    np.save(sink, clean, allow_pickle=False)
    return sink.getvalue()


def _renumber(node: Any, ids: dict[int, int], files: dict[str, str]) -> None:
    """Replace memory addresses in a skops schema, in place, by order of appearance."""
    if isinstance(node, list):
        for item in node:
            _renumber(item, ids, files)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("__id__"), int):
        plain = node.get("__loader__") == "JsonNode"
        node["__id__"] = len(ids) if plain else ids.setdefault(node["__id__"], len(ids))
        if plain:
            ids[-1 - len(ids)] = len(ids)
    if isinstance(node.get("file"), str):
        stem, _, ending = node["file"].rpartition(".")
        node["file"] = files.setdefault(node["file"], f"{len(files)}.{ending}" if stem else node["file"])
    for key, value in node.items():
        if key not in ("__id__", "file"):
            _renumber(value, ids, files)
