"""Writes the tables of this example: a real one in two halves, and a release that leaks.

The Wisconsin breast cancer table of scikit-learn, 569 people: half of them are the original, half
are the control. The release is drawn from a kernel density estimate whose bandwidth is far too
small for three rows of ten: these come out as an original row with a little noise. The others come
from a Gaussian fitted to the original, class by class, and leak next to nothing.

    python tables.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer

NEAR = 0.3
NOISE = 0.002
SHOWN = (
    "mean radius",
    "mean texture",
    "mean smoothness",
    "mean concavity",
    "mean symmetry",
    "radius error",
    "worst area",
    "worst symmetry",
)


def people() -> pd.DataFrame:
    """Return eight measurements and the diagnosis of 569 people."""
    data = load_breast_cancer(as_frame=True)
    table = data.data[list(SHOWN)].copy()
    table["diagnosis"] = np.where(data.target == 0, "malignant", "benign")
    return table


def release(original: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Return as many synthetic rows as there are original ones."""
    rows = []
    for label, group in original.groupby("diagnosis", sort=True):
        numbers = np.log1p(group[list(SHOWN)].to_numpy())
        spread = numbers.std(axis=0)
        near = rng.random(len(numbers)) < NEAR
        copies = numbers[rng.integers(0, len(numbers), len(numbers))]
        copies = copies + NOISE * spread * rng.standard_normal(copies.shape)
        fresh = rng.multivariate_normal(numbers.mean(axis=0), np.cov(numbers.T), len(numbers))
        drawn = np.expm1(np.where(near[:, None], copies, np.maximum(fresh, 0.0)))
        rows.append(pd.DataFrame(drawn, columns=list(SHOWN)).assign(diagnosis=label))
    return pd.concat(rows, ignore_index=True).sample(frac=1.0, random_state=rng.integers(2**31))


def write(folder: Path) -> None:
    """Write original.csv, control.csv and synthetic.csv."""
    rng = np.random.default_rng(7)
    table = people()
    order = rng.permutation(len(table))
    half = len(table) // 2
    original, control = table.iloc[order[:half]], table.iloc[order[half:]]
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in (
        ("original", original),
        ("control", control),
        ("synthetic", release(original, rng)),
    ):
        rows.to_csv(folder / f"{name}.csv", index=False, float_format="%.6g")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
