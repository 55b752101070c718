"""Write what a deployed model would have left behind: `reference.parquet`, `log.parquet` and `model.yaml`."""

from __future__ import annotations

import argparse
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from mlhealth.demo.loan_year import loan_year
from mlhealth.demo.model import train
from mlhealth.demo.setting import ID, labelled, logged, write_schema
from mlhealth.demo.story import TIME


def main() -> None:
    """Train the demo's first model version and let it answer the first days of the generated year."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--days", type=int, default=200)
    arguments.add_argument("--rows-per-day", type=int, default=500)
    wanted = arguments.parse_args()
    here = Path.cwd()
    story = loan_year(np.random.default_rng(0), wanted.rows_per_day)
    model = train(story.train, story.target, story.features, story.task)
    write_schema(here, story, model, "1")
    (here / "model-1.yaml").replace(here / "model.yaml")
    reference = labelled(story.reference, model, story.target).to_pandas()
    _timed(reference).to_parquet(here / "reference.parquet")
    answered = (piece for piece in story.slices if piece.chapter.version == "1")
    days = [logged(piece.rows, model, 0) for piece in islice(answered, wanted.days)]
    log = pd.concat(days, ignore_index=True)
    log[ID] = np.arange(len(log)).astype(str)
    _timed(log).to_parquet(here / "log.parquet")


def _timed(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(**{TIME: pd.to_datetime(frame[TIME], unit="us", utc=True)})


if __name__ == "__main__":
    main()
