"""A PyTorch model whose training ends with a baseline: saved, ready to push, and able to tell a broken input.

Run it with `python examples/pytorch.py`; it needs torch, and downloads nothing.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import mlhealth as mh
from mlhealth.training import BaselineCallback

FEATURES = ["temperature", "vibration", "load"]
COLUMNS = {"prediction": "y_pred", "score": "y_score", "label": "fails", "timestamp": "at"}


def machines(rng: np.random.Generator, rows: int) -> pd.DataFrame:
    """Return machines with whether each fails within the day."""
    frame = pd.DataFrame(
        {
            "temperature": rng.normal(70, 8, rows),
            "vibration": rng.gamma(2.0, 1.0, rows),
            "load": rng.random(rows),
        }
    )
    logit = 0.15 * (frame["temperature"] - 75) + 0.9 * (frame["vibration"] - 2) + 2 * frame["load"] - 1
    return frame.assign(fails=(rng.random(rows) < 1 / (1 + np.exp(-logit))).astype(int))


def trained(frame: pd.DataFrame) -> torch.nn.Module:
    """Return a small network, trained."""
    torch.manual_seed(0)
    inputs = torch.tensor(frame[FEATURES].to_numpy(dtype=np.float32))
    truth = torch.tensor(frame[["fails"]].to_numpy(dtype=np.float32))
    net = torch.nn.Sequential(
        torch.nn.BatchNorm1d(3), torch.nn.Linear(3, 16), torch.nn.ReLU(), torch.nn.Linear(16, 1)
    )
    optimiser = torch.optim.Adam(net.parameters(), lr=0.02)
    for _ in range(150):
        optimiser.zero_grad()
        torch.nn.functional.binary_cross_entropy_with_logits(net(inputs), truth).backward()
        optimiser.step()
    return net.eval()


def main() -> None:
    """Train, fit the baseline as the last step, estimate three days of which the last is broken."""
    rng = np.random.default_rng(0)
    train = machines(rng, 6_000)
    net = trained(train)

    usual = train[FEATURES].median()

    def predict_proba(features: pd.DataFrame) -> np.ndarray:
        whole = features[FEATURES].fillna(usual).to_numpy(dtype=np.float32)
        with torch.no_grad():
            return np.asarray(torch.sigmoid(net(torch.tensor(whole)))[:, 0])

    validation = machines(rng, 3_000).assign(at=pd.Timestamp("2026-01-01", tz="UTC"))
    with tempfile.TemporaryDirectory() as folder:
        schema = {"model": "failures", "columns": COLUMNS}
        BaselineCallback(schema, validation, train=train, folder=Path(folder, "baseline"))(predict_proba)
        baseline = mh.Baseline.load(Path(folder, "baseline"))
    print(baseline)

    days = machines(rng, 3 * 1440)
    days["at"] = pd.date_range("2026-02-02", periods=len(days), freq="1min", tz="UTC")
    days.loc[days.index >= 2 * 1440, "temperature"] = 32 + 1.8 * days["temperature"]  # Fahrenheit from now on
    score = predict_proba(days)
    production = days.assign(y_score=score, y_pred=(score >= 0.5).astype(int))
    report = baseline.estimate(production.drop(columns="fails"), window="1d", scorer=predict_proba)

    told = report.to_df().set_index("start_date")
    truth = (production["y_pred"] == production["fails"]).groupby(production["at"].dt.floor("1D")).mean()
    print(told[["value", "health_status"]].assign(truth=truth).to_string(float_format="{:.3f}".format))
    print(told["reason"].iloc[-1])


if __name__ == "__main__":
    main()
