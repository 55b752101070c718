"""A baseline as files: open formats only, no pickle, every file hashed; a folder or one blob of bytes.

| file | holds |
|---|---|
| `manifest.json` | format, content hash, sha256 of each other file, when and with which libraries it was made |
| `baseline.json` | schema, mode, seed, primary metric, reference metrics, which nulls and estimators there are |
| `layout.json` | the bins of each column |
| `reference.arrow` | the profile of the reference rows |
| `rows.parquet` | labelled reference rows, in canonical columns |
| `nulls.npz` | how the detectors' statistics behave on reference windows |
| `estimators/NAME.json`, `.npz`, `NAME.N.skops` | parameters, arrays and models of a fitted estimator |

The content hash is the sha256 over the names and hashes of all files but the manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mlhealth.baseline.model_files import dump_model, load_model, zip_bytes
from mlhealth.baseline.record import FORMAT, Baseline, BaselineView, FittedState, Null, ReferenceMetric
from mlhealth.errors import BaselineError
from mlhealth.profile.bins import Bins, CategoryBins, NumericBins
from mlhealth.profile.window_profile import ProfileLayout, WindowProfile
from mlhealth.schema.model_schema import Feature, FeatureType, ModelSchema, Storage, Task

MANIFEST = "manifest.json"
Files = Mapping[str, bytes]


def seal(baseline: Baseline) -> Baseline:
    """Return the baseline with its content hash."""
    return replace(baseline, hash=_content_hash(_encode(baseline)))


def save(baseline: Baseline, folder: Path) -> None:
    """Write the baseline as a folder, whole or not at all; raises BaselineError where something else is there."""
    taken = folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder])
    if taken and not (folder / MANIFEST).is_file():
        raise BaselineError(f"{folder}: is there already and is not a baseline; choose another --out")
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
    try:
        for name, body in _with_manifest(baseline).items():
            (fresh / name).parent.mkdir(exist_ok=True)
            (fresh / name).write_bytes(body)
        fresh.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        fresh.replace(folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def load(folder: Path) -> Baseline:
    """Return the baseline in a folder; raises BaselineError where it is missing, damaged or altered."""
    if not (folder / MANIFEST).is_file():
        missing = (
            "there is no such folder"
            if not folder.exists()
            else f"has no {MANIFEST}, so it is not a baseline"
        )
        raise BaselineError(f"{folder}: {missing}; make one with `mlhealth baseline fit`")
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return _decode_checked(files, str(folder))


def to_bytes(baseline: Baseline) -> bytes:
    """Return the baseline as one blob (a zip of its files), equal for equal baselines."""
    return zip_bytes(dict(_with_manifest(baseline)))


def from_bytes(blob: bytes, name: str = "baseline") -> Baseline:
    """Return the baseline that `to_bytes` wrote; `name` is how messages call it."""
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            files = {entry: archive.read(entry) for entry in archive.namelist()}
    except (zipfile.BadZipFile, zipfile.LargeZipFile, OSError, EOFError, ValueError):
        raise BaselineError(f"{name}: is damaged: not a whole archive") from None
    return _decode_checked(files, name)


def view_from_bytes(blob: bytes, name: str = "baseline") -> BaselineView:
    """Return what people look at of the baseline that `to_bytes` wrote, without its fitted models: much cheaper."""
    wanted = ("baseline.json", "layout.json", "reference.arrow", "rows.parquet")
    try:
        with zipfile.ZipFile(io.BytesIO(blob)) as archive:
            files = {entry: archive.read(entry) for entry in wanted}
        head = json.loads(files["baseline.json"])
        schema = _schema(head["schema"])
        layout = _layout(json.loads(files["layout.json"]), schema)
        reference = WindowProfile.from_bytes(files["reference.arrow"], layout)
        rows = pq.read_table(io.BytesIO(files["rows.parquet"]))
        metrics = {metric: ReferenceMetric(**values) for metric, values in head["metrics"].items()}
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, pa.ArrowException, OSError) as error:
        raise BaselineError(f"{name}: cannot be read ({type(error).__name__}); fit it again") from None
    return BaselineView(schema, reference, rows, metrics, head["primary"])


def _content_hash(files: Files) -> str:
    lines = [
        f"{name} {hashlib.sha256(files[name]).hexdigest()}" for name in sorted(files) if name != MANIFEST
    ]
    return hashlib.sha256("\n".join([f"format {FORMAT}", *lines]).encode()).hexdigest()


def _with_manifest(baseline: Baseline) -> dict[str, bytes]:
    files = _encode(baseline)
    found = _content_hash(files)
    if baseline.hash and baseline.hash != found:
        raise BaselineError("a baseline was changed after it was made; fit it again")
    manifest = {
        "format": FORMAT,
        "hash": found,
        "model": baseline.schema.model,
        "version": baseline.schema.version,
        "created": baseline.created,
        "libraries": dict(baseline.versions),
        "notes": list(baseline.notes),
        "files": {name: hashlib.sha256(body).hexdigest() for name, body in sorted(files.items())},
    }
    return files | {MANIFEST: _json(manifest)}


def _decode_checked(files: Files, name: str) -> Baseline:
    manifest = _manifest(files, name)
    for entry, digest in manifest["files"].items():
        if entry not in files:
            raise BaselineError(
                f"{name}: {entry} is missing; the baseline is damaged, restore it or fit it again"
            )
        if hashlib.sha256(files[entry]).hexdigest() != digest:
            raise BaselineError(
                f"{name}: {entry} was changed or damaged; restore it or fit the baseline again"
            )
    content = {entry: files[entry] for entry in manifest["files"]}
    if _content_hash(content) != manifest["hash"]:
        raise BaselineError(f"{name}: {MANIFEST} was changed; restore it or fit the baseline again")
    try:
        return _decode(content, manifest, name)
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException, OSError) as error:
        if isinstance(error, BaselineError):
            raise
        raise BaselineError(
            f"{name}: cannot be read ({type(error).__name__}: {error}); fit it again"
        ) from None


def _manifest(files: Files, name: str) -> dict[str, Any]:
    try:
        manifest: dict[str, Any] = json.loads(files[MANIFEST])
        known = manifest["format"]
    except (KeyError, TypeError, ValueError):
        raise BaselineError(f"{name}: {MANIFEST} is missing or damaged; fit the baseline again") from None
    if known != FORMAT:
        raise BaselineError(f"{name}: is of format {known}, this version reads format {FORMAT}; fit it again")
    if not isinstance(manifest.get("files"), dict) or not isinstance(manifest.get("hash"), str):
        raise BaselineError(f"{name}: {MANIFEST} is damaged; fit the baseline again")
    return manifest


def _encode(baseline: Baseline) -> dict[str, bytes]:
    nulls = sorted(baseline.nulls.items())
    head = {
        "schema": _schema_data(baseline.schema),
        "mode": baseline.mode,
        "seed": baseline.seed,
        "primary": baseline.primary,
        "metrics": {name: asdict(metric) for name, metric in baseline.metrics.items()},
        "nulls": [list(key) for key, _ in nulls],
        "estimators": list(baseline.estimators),
    }
    null_arrays = {
        f"{i}.{part}": getattr(null, part) for i, (_, null) in enumerate(nulls) for part in _NULL_PARTS
    }
    files = {
        "baseline.json": _json(head),
        "layout.json": _json(_layout_data(baseline.layout)),
        "reference.arrow": baseline.reference.to_bytes(),
        "rows.parquet": _parquet(baseline.rows),
        "nulls.npz": _npz(null_arrays),
    }
    for name, state in baseline.estimators.items():
        files |= _encode_state(name, state)
    return files


_NULL_PARTS = ("rows", "levels", "quantiles")


def _decode(files: Files, manifest: Mapping[str, Any], name: str) -> Baseline:
    head = json.loads(files["baseline.json"])
    schema = _schema(head["schema"])
    layout = _layout(json.loads(files["layout.json"]), schema)
    arrays = _arrays(files["nulls.npz"])
    return Baseline(
        schema=schema,
        layout=layout,
        reference=WindowProfile.from_bytes(files["reference.arrow"], layout),
        rows=pq.read_table(io.BytesIO(files["rows.parquet"])),
        metrics={metric: ReferenceMetric(**values) for metric, values in head["metrics"].items()},
        primary=head["primary"],
        estimators={method: _decode_state(method, files, name) for method in head["estimators"]},
        nulls={
            (detector, feature): Null(*(arrays[f"{i}.{part}"] for part in _NULL_PARTS))
            for i, (detector, feature) in enumerate(head["nulls"])
        },
        mode=head["mode"],
        seed=head["seed"],
        hash=manifest["hash"],
        created=manifest["created"],
        versions=manifest["libraries"],
        notes=tuple(manifest["notes"]),
    )


def _encode_state(name: str, state: FittedState) -> dict[str, bytes]:
    stem = f"estimators/{name}"
    files = {f"{stem}.{i}.skops": dump_model(model) for i, model in enumerate(state.models.values())}
    head = {"params": dict(state.params), "models": list(state.models)}
    return files | {f"{stem}.json": _json(head), f"{stem}.npz": _npz(state.arrays)}


def _decode_state(method: str, files: Files, name: str) -> FittedState:
    stem = f"estimators/{method}"
    head = json.loads(files[f"{stem}.json"])
    models = {
        model: load_model(files[f"{stem}.{i}.skops"], f"{name}: {stem}.{i}.skops")
        for i, model in enumerate(head["models"])
    }
    return FittedState(head["params"], _arrays(files[f"{stem}.npz"]), models)


def _layout_data(layout: ProfileLayout) -> dict[str, Any]:
    return {
        "sample_rows": layout.sample_rows,
        "columns": [[name, asdict(bins)] for name, bins in layout.columns],
    }


def _layout(data: Mapping[str, Any], schema: ModelSchema) -> ProfileLayout:
    columns = tuple((name, _bins(bins)) for name, bins in data["columns"])
    return ProfileLayout(schema, columns, data["sample_rows"])


def _bins(data: Mapping[str, Any]) -> Bins:
    if "edges" in data:
        return NumericBins(tuple(data["edges"]))
    return CategoryBins(tuple(data["categories"]), tuple(data["rare"]))


def _schema_data(schema: ModelSchema) -> dict[str, Any]:
    """Return a schema as JSON; what came to schemas later only where there is any, so that old ones keep their hash."""
    later = ("pii", "weight", "sampling_fraction")
    return {name: value for name, value in asdict(schema).items() if value or name not in later}


def _schema(data: dict[str, Any]) -> ModelSchema:
    features = tuple(
        Feature(f["name"], FeatureType(f["type"]), Storage(f["storage"])) for f in data["features"]
    )
    lists: dict[str, Any] = {key: tuple(data[key]) for key in ("scores", "classes", "segments")}
    lists["pii"] = tuple((name, what) for name, what in data.get("pii", ()))
    enums = {"task": Task(data["task"]), "prediction_storage": Storage(data["prediction_storage"])}
    return ModelSchema(**{**data, **lists, **enums, "features": features})


def _json(data: object) -> bytes:
    return (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode()


def _npz(arrays: Mapping[str, NDArray[np.generic]]) -> bytes:
    entries = {}
    for name, array in arrays.items():
        sink = io.BytesIO()
        np.save(sink, array, allow_pickle=False)
        entries[f"{name}.npy"] = sink.getvalue()
    return zip_bytes(entries)


def _arrays(blob: bytes) -> dict[str, NDArray[Any]]:
    with np.load(io.BytesIO(blob), allow_pickle=False) as stored:
        return {name: stored[name] for name in stored.files}


def _parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd")
    return sink.getvalue()
