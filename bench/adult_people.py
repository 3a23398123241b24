"""People of Adult as rows with one-hot groups, networks that are given them, and what is right."""

from collections.abc import Callable, Sequence

import evidence
import numpy as np
import pandas as pd
import torch
from attrs import frozen
from scipy.optimize import linear_sum_assignment
from torch import nn

ADULT = evidence.ROOT.parent / "shared" / "data" / "adult.parquet"

NUMBERS = (
    "age",
    "fnlwgt",
    "education_num",
    "capital_gain",
    "capital_loss",
    "hours_per_week",
)
NEAR = 0.1
"""Of standardised numbers: differences below are none."""


@frozen(kw_only=True)
class People:
    """Rows of Adult: x float32 ``[n, columns]``, y int64 ``[n]``, one-hot groups of columns."""

    x: np.ndarray
    y: np.ndarray
    groups: tuple[tuple[int, ...], ...]


def adult() -> People:
    """Return all rows: standardised numbers, then one-hot categories; missing is one of them."""
    table = pd.read_parquet(ADULT).drop(columns="split")
    y = (table.pop("income") == ">50K").to_numpy().astype(np.int64)
    numbers = table[list(NUMBERS)].to_numpy(float)
    parts, groups = [(numbers - numbers.mean(0)) / numbers.std(0)], []
    start = len(NUMBERS)
    for name in table.columns.difference(NUMBERS, sort=False):
        codes = table[name].fillna("?").astype("category").cat.codes.to_numpy()
        count = int(codes.max()) + 1
        parts.append(np.eye(count)[codes])
        groups.append(tuple(range(start, start + count)))
        start += count
    return People(x=np.hstack(parts).astype(np.float32), y=y, groups=tuple(groups))


ACTIVATIONS = {"relu": nn.ReLU, "tanh": nn.Tanh}


def network(columns: int, activation: str, seed: int) -> nn.Module:
    """Return an untrained network of three layers."""
    act = ACTIVATIONS[activation]
    return seeded(
        lambda: nn.Sequential(
            nn.Linear(columns, 100), act(), nn.Linear(100, 100), act(), nn.Linear(100, 2)
        ),
        seed,
    )


def seeded(factory: Callable[[], nn.Module], seed: int) -> nn.Module:
    """Return a module with random weights that follow from the seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory().eval()


def trained(module: nn.Module, people: People, rows: np.ndarray, steps: int) -> nn.Module:
    """Return the module after some steps of SGD on batches of 64 of those rows."""
    x, y = torch.from_numpy(people.x[rows]), torch.from_numpy(people.y[rows])
    optimiser = torch.optim.SGD(module.parameters(), lr=0.1)
    for step in range(steps):
        batch = slice(64 * step % len(rows), 64 * step % len(rows) + 64)
        optimiser.zero_grad()
        nn.functional.cross_entropy(module(x[batch]), y[batch]).backward()
        optimiser.step()
    return module.eval()


def matched(found: np.ndarray, truth: np.ndarray, groups: Sequence[Sequence[int]]) -> tuple:
    """Return the share of columns that are right, and of rows that are wholly, ``[b]`` means.

    A category is right if it is the most likely one, a number within ``NEAR``; rows are paired so
    that most columns are right.
    """
    right = [np.abs(found[:, None, : len(NUMBERS)] - truth[None, :, : len(NUMBERS)]) < NEAR]
    for group in groups:
        ours, theirs = (rows[:, list(group)].argmax(1) for rows in (found, truth))
        right.append((ours[:, None] == theirs)[..., None])
    same = np.concatenate(right, 2).mean(2)
    rows, columns = linear_sum_assignment(-same)
    pairs = same[rows, columns]
    return pairs.sum() / len(truth), (pairs == 1.0).sum() / len(truth)


def guesses(people: People, others: np.ndarray, b: int, rng: np.random.Generator) -> list:
    """Return what one says who sees no update: the usual row ``b`` times; random other rows."""
    known = people.x[others]
    usual = np.median(known, axis=0)
    for group in people.groups:
        usual[list(group)] = np.eye(len(group))[known[:, list(group)].mean(0).argmax()]
    return [np.tile(usual, (b, 1)), known[rng.choice(len(known), b, replace=False)]]
