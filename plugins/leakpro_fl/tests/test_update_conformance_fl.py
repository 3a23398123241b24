"""Every attack of this distribution keeps core's promises, on a small model that it applies to."""

import numpy as np
import pytest
import torch
from leakpro_fl.alignment import AlignmentOptions
from leakpro_fl.client import TorchClient, arrays_of, buffers_of
from leakpro_fl.imprint import imprinted
from leakpro_fl.inversion import InversionOptions
from leakpro_fl.one_hot import OneHotOptions
from leakpro_fl.plugin import leakpro_attacks
from texts import Encoder
from torch import nn

from leakpro_core.records import Auxiliary, Disclosed, Population, Release, Target, UpdateRelease
from leakpro_core.testing.update_checks import UPDATE_CHECKS, Case

OFFERS = {offer.name: offer for offer in leakpro_attacks()}

GROUPS = ((0, 1, 2), (3, 4))
SIZES = {"members": 24, "others": 96, "auxiliary": 48}
SLOW = dict.fromkeys(("inversion", "one-hot", "embeddings"), pytest.mark.slow)
OPTIONS = {
    "inversion": InversionOptions(iterations=100),
    "one-hot": OneHotOptions(restarts=1, iterations=60),
    "alignment": AlignmentOptions(explainers=50),
}


def records(modality, n, seed):
    rng = np.random.default_rng(seed)
    if modality == "text":
        return rng.integers(0, 40, (n, 6))
    x = rng.standard_normal((n, 12)).astype(np.float32)
    for group in GROUPS:
        x[:, group] = np.eye(len(group))[rng.integers(len(group), size=n)]
    return x


def module_for(name, auxiliary):
    torch.manual_seed(0)
    if name == "embeddings":
        return Encoder(vocabulary=40, width=24, heads=2, hidden=16, layers=1, length=6, classes=3)
    if name == "imprint":
        plain = nn.Sequential(nn.Linear(12, 8), nn.ReLU(), nn.Linear(8, 3))
        return imprinted(plain, (12,), 32, 0, auxiliary, "cumulative")
    return nn.Sequential(nn.Linear(12, 32), nn.ReLU(), nn.BatchNorm1d(32), nn.Linear(32, 3))


def case(name):
    """Return a client that sends plain gradients of two records; of rounds, all are its own."""
    modality = "text" if name == "embeddings" else "tabular"
    x = {part: records(modality, n, seed) for seed, (part, n) in enumerate(SIZES.items())}
    rng = np.random.default_rng(9)
    aside = Auxiliary(records=x["auxiliary"], labels=rng.integers(3, size=SIZES["auxiliary"]))
    module = module_for(name, aside)
    how = Disclosed(
        kind="delta" if name == "alignment" else "gradient",
        examples=2,
        lr=0.1,
        mode="eval",
        reduction="mean",
    )
    groups = GROUPS if modality == "tabular" else ()
    people = np.concatenate([x["members"], x["others"]])
    return Case(
        release=Release(
            target=Target(
                kind="update",
                identity="0" * 64,
                handle=TorchClient(module=module, disclosed=how, groups=groups),
            ),
            population=Population(
                records=people,
                labels=rng.integers(3, size=len(people)),
                subjects=np.arange(len(people)),
                members=np.arange(len(people)) < SIZES["members"],
                classes=3,
                modality=modality,
                auxiliary=aside,
            ),
            updates=UpdateRelease(
                disclosed=how, before=arrays_of(module), buffers=buffers_of(module), groups=groups
            ),
        ),
        options=OPTIONS.get(name),
    )


@pytest.mark.parametrize("check", UPDATE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", [pytest.param(n, marks=SLOW.get(n, ())) for n in OFFERS])
def test_attacks_conform(name, check):
    check(OFFERS[name], case(name))
