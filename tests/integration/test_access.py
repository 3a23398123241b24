"""Every adversary who sees answers of a model has attacks to play."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import recorded

from leakpro_core.cli import main

CARDS = {
    "labels": 'access = "labels"',
    "the likeliest class": 'access = "top-k"\ntop_k = 1\ndecimals = 1',
    "confidences": 'access = "confidences"\ndecimals = 2',
    "logits": 'access = "logits"',
    "weights": 'access = "weights"',
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("access")
    np.savez(folder / "outputs.npz", **recorded(300, leak=3.0, shadows=6))
    cards = "".join(f'[[adversary]]\nname = "{name}"\n{card}\n' for name, card in CARDS.items())
    plan = folder / "audit.toml"
    plan.write_text(f'schema = 1\n[target]\nloader = "arrays"\npath = "outputs.npz"\n{cards}')
    main(["audit", str(plan), "--out", str(folder / "run")])
    return folder / "run"


@pytest.mark.parametrize("adversary", CARDS)
def test_what_needs_shadows_alone_is_played_whatever_is_seen(run, adversary) -> None:
    attacks = json.loads((run / "report.json").read_text())["attacks"]
    finished = {a["attack"]: a for a in attacks if a["adversary"] == adversary and a["auc"]}
    assert {"loss", "ratio", "lira", "student", "combined", "stacked"} == set(finished)
    assert all(a["auc"]["value"] > 0.6 for a in finished.values())


@pytest.mark.parametrize("adversary", CARDS)
def test_the_text_says_whose_placebo_it_was(run, adversary) -> None:
    assert f"placebo target, {adversary}: " in (run / "report.txt").read_text()
