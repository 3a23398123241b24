"""Figures of the validity controls: error rates, power, placebo strengths, cost.

Writes bench/results/controls.json. Run from the root: ``python bench/evidence_controls.py``.
``--slice`` runs a tenth and writes nothing.
"""

import json
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import rankdata
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

from leakpro_core.arrays import Bools, Floats, Ints, Singles
from leakpro_core.controls.blind import blind_test, refitted
from leakpro_core.controls.canaries import canary_control
from leakpro_core.controls.design import design_control
from leakpro_core.controls.features import describe, standardised
from leakpro_core.controls.permutation import rank_auc
from leakpro_core.controls.placebo import placebo_control, placebo_test
from leakpro_core.plan import Policy

ADULT = Path(__file__).resolve().parents[2] / "shared" / "data" / "adult.parquet"
PATHS = (
    *(
        f"leakpro_core/controls/{name}.py"
        for name in (
            "blind",
            "canaries",
            "design",
            "features",
            "permutation",
            "placebo",
            "ridge",
        )
    ),
    "leakpro_core/statistics/multiplicity.py",
    "bench/evidence_controls.py",
)
POLICY = Policy()


def adult(seed: int, *sizes: int) -> list[tuple[Singles, Ints]]:
    """Return disjoint samples of Adult, one-hot, and their labels."""
    frame = pd.read_parquet(ADULT).sample(sum(sizes), random_state=seed)
    labels = frame.income.str.contains(">50K").to_numpy().astype(np.int64)
    table = pd.get_dummies(frame.drop(columns=["income", "split"])).to_numpy().astype(np.float32)
    ends = np.cumsum(sizes)
    return [(table[e - s : e], labels[e - s : e]) for s, e in zip(sizes, ends, strict=True)]


def area(claims: Floats, bits: Bools) -> float:
    return float(rank_auc(rankdata(claims), bits))


def arms(score: Floats, strength: float, rng: np.random.Generator) -> Bools:
    """Draw members with log-odds linear in the score."""
    z = (score - score.mean()) / score.std()
    members: Bools = rng.random(len(z)) < 1 / (1 + np.exp(-strength * z))
    return members


def shifts(x: Singles, y: Ints, rng: np.random.Generator) -> tuple[Singles, Mapping[str, Floats]]:
    """Return records with a date and a rare category, and by what the arms can differ."""
    n = len(y)
    date, rare = rng.random(n), (rng.random(n) < 0.02) * 1.0
    wide = standardised(x)
    margin = LogisticRegression(max_iter=200).fit(wide, y).decision_function(wide) * (2 * y - 1)
    records = np.column_stack([x, date, rare]).astype(np.float32)
    return records, {
        "none": np.zeros(n),
        "date": date,
        "window of dates": (np.abs(date - 0.3) < 0.1) * 1.0,
        "rare category": rare,
        "easiness": -np.logaddexp(0, -margin),
        "age or schooling, not both": ((x[:, 0] > 37) ^ (x[:, 2] > 9)) * 1.0,
        "age by class": (x[:, 0] - x[:, 0].mean()) * (2 * y - 1),
        "late and rich or early and poor": ((date > 0.5) ^ (y == 1)) * 1.0,
    }


def boosted(x: Singles, y: Ints, bits: Bools, folds: Ints) -> Floats:
    """Return out-of-fold claims of gradient boosting, what the ridge is measured against."""
    claims, columns = np.zeros(len(y)), np.column_stack([x, y])
    for fold in range(5):
        test = folds == fold
        model = HistGradientBoostingClassifier(
            max_iter=100, learning_rate=0.06, max_leaf_nodes=15, random_state=0
        ).fit(columns[~test], bits[~test])
        claims[test] = model.decision_function(columns[test])
    return claims


def blind_against_boosting(repeats: int) -> Mapping[str, Mapping[str, float]]:
    """AUC of both classifiers and of the drawing score itself, 4,000 records, mean of repeats."""
    found: dict[str, list[tuple[float, float, bool, float]]] = {}
    for seed in range(repeats):
        rng = np.random.default_rng(seed)
        [(x, y)] = adult(seed, 4000)
        records, scores = shifts(x, y, rng)
        for name, score in scores.items():
            bits = arms(score, 0.35, rng) if score.any() else rng.random(len(y)) < 0.5
            blind = blind_test(
                records,
                y,
                2,
                bits,
                np.arange(len(y)),
                policy=POLICY,
                modality="tabular",
                seed=seed,
            )
            other = boosted(records, y, bits, rng.integers(0, 5, len(y)))
            found.setdefault(name, []).append(
                (area(score, bits), blind.auc.value, blind.p_value <= 0.05, area(other, bits))
            )
    keys = ("possible", "blind", "blind significant", "boosting")
    return {
        k: dict(zip(keys, map(rounded, np.mean(v, axis=0)), strict=True)) for k, v in found.items()
    }


def rounded(value: float) -> float:
    return round(float(value), 4)


def rate(hits: int, trials: int) -> dict[str, float | int]:
    return {"rate": rounded(hits / trials), "hits": hits, "trials": trials}


def blind_null(trials: int) -> Mapping[str, object]:
    """False alarms of the permutation test at 5%: one record a subject, and up to three."""
    [(x, y)] = adult(0, 600)
    columns = describe(x, y, 2, modality="tabular", seed=0)
    found = {}
    for name, subjects in {"single": np.arange(600), "by subject": np.arange(600) // 3}.items():
        hits = 0
        for seed in range(trials):
            rng = np.random.default_rng([7, seed])
            bits = (rng.permutation(subjects.max() + 1) % 2 == 0)[subjects][None]
            hits += refitted(columns, bits, subjects, 199, seed).p_value <= 0.05
        found[name] = rate(hits, trials)
    return found


def placebo_null(trials: int) -> Mapping[str, object]:
    """False alarms with members at random: 8 attacks, 4 placebos, n = 600, claims alike or tied."""
    found = {}
    for name, subjects in {"single": np.arange(600), "by subject": np.arange(600) // 3}.items():
        hits = 0
        for seed in range(trials):
            rng = np.random.default_rng([8, seed])
            n, people = 600, subjects.max() + 1
            hard = rng.standard_normal(people)[subjects] + rng.standard_normal(n)
            claims = {
                f"a{k}": hard + 0.5 * rng.standard_t(3, (4, n)).round(k % 2) for k in range(8)
            }
            pairs = np.stack([(rng.permutation(people) % 2 == 0)[subjects] for _ in range(2)])
            unseen = np.concatenate([pairs, ~pairs])
            members = (rng.permutation(people) % 2 == 0)[subjects][None]
            result = placebo_test(claims, unseen, members, subjects, POLICY, seed=seed)
            hits += placebo_control(result, POLICY).result != "pass"
        found[name] = rate(hits, trials)
    return found


def easy_members(trials: int) -> Mapping[str, object]:
    """Members chosen by easiness; models trained on other data score them.

    adult: easiness is a logistic model's confidence, trained on other records; the easier half is
    in with the chance 50% + shift, the harder half with 50% - shift. hidden: wrong labels under a
    rule that a network learns from 20,000 other records are rarer among members, by shift.
    """
    found: dict[str, object] = {}
    cases: dict[str, Callable[[int, float], tuple[Singles, Ints, Bools, Floats]]] = {
        "adult": _easy_adult,
        "hidden": _easy_hidden,
    }
    for name, draw in cases.items():
        for shift in (0.1, 0.2) if name == "adult" else (0.2, 0.3):
            rows = []
            for seed in range(trials):
                x, y, members, claims = draw(seed, shift)
                n = len(y)
                blind = blind_test(
                    x, y, 2, members, np.arange(n), policy=POLICY, modality="tabular", seed=seed
                )
                raw = boosted(x, y, members, np.random.default_rng(seed).integers(0, 5, n))
                placebo = placebo_test(
                    {"loss": claims},
                    np.ones(claims.shape, bool),
                    members[None],
                    np.arange(n),
                    POLICY,
                    seed=seed,
                )
                rows.append(
                    (
                        area(raw, members),
                        blind.auc.value,
                        blind.control.result == "fail",
                        placebo["loss"].auc.value,
                        placebo_control(placebo, POLICY).result == "fail",
                    )
                )
            keys = ("boosting on raw records", "blind", "blind fails", "placebo", "placebo fails")
            means = np.mean(np.array(rows, float), axis=0)
            found[f"{name}, shift {shift:.0%}"] = dict(
                zip(keys, map(rounded, means), strict=True)
            ) | {"trials": trials}
    return found


def _easy_adult(seed: int, shift: float) -> tuple[Singles, Ints, Bools, Floats]:
    (x, y), *others = adult(seed, 4000, 4000, 3000, 3000)
    scores = [_logistic(*other, x, y) for other in others]
    rank = rankdata(scores[0]) / len(y)
    rng = np.random.default_rng([9, seed])
    members = rng.random(len(y)) < 0.5 + shift * np.where(rank > 0.5, 1, -1)
    return x, y, members, np.stack(scores[1:])


def _logistic(x: Singles, y: Ints, new_x: Singles, new_y: Ints) -> Floats:
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-3
    model = LogisticRegression(max_iter=300, C=0.1).fit((x - mean) / spread, y)
    margin = model.decision_function((new_x - mean) / spread) * (2 * new_y - 1)
    return np.asarray(-np.logaddexp(0, -margin))


def _easy_hidden(seed: int, shift: float) -> tuple[Singles, Ints, Bools, Floats]:
    rng = np.random.default_rng([10, seed])
    x = rng.standard_normal((22_000, 12)).astype(np.float32)
    rule = (np.prod(np.sign(x[:, :3]), axis=1) > 0).astype(np.int64)
    wrong = rng.random(len(x)) < 0.25
    fresh, own = slice(0, 20_000), slice(20_000, None)
    members = rng.random(2000) < 0.5
    wrong[own] = rng.random(2000) < np.where(members, 0.25 - shift / 2, 0.25 + shift / 2)
    y = np.where(wrong, 1 - rule, rule)
    model = MLPClassifier((64, 32), max_iter=12, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # twelve epochs are enough, and sklearn says they are not
        model.fit(x[fresh], y[fresh])
    claims = model.predict_log_proba(x[own])[np.arange(2000), y[own]]
    return x[own], y[own], members, claims[None]


def canary_errors(trials: int) -> Mapping[str, object]:
    """How often a strength is found where none can be, and where an attack gains d'=0.7."""
    found = {}
    for name, gain in {"nothing to find": 0.0, "d' 0.7 on the mislabelled": 0.7}.items():
        hits = 0
        for seed in range(trials):
            rng = np.random.default_rng([11, seed])
            strength = np.repeat([1, 2, 3], 50)
            bits = rng.random((4, 150)) < 0.5
            claims = {
                f"a{k}": rng.standard_normal((4, 150)) + gain * bits * (strength == 3)
                for k in range(8)
            }
            control = canary_control(claims, bits, strength, POLICY, seed=seed)
            hits += control.result == "pass"
        found[name] = rate(hits, trials)
    return found


def design_errors(trials: int) -> Mapping[str, object]:
    """False alarms of 8 shadows in pairs; alarms where the target is the ninth balanced model."""
    false = true = 0
    for seed in range(trials):
        rng = np.random.default_rng([12, seed])
        half = rng.random((4, 1000)) < 0.5
        members = rng.random(1000) < 0.5
        control = design_control(np.concatenate([half, ~half]), members, seed=seed)
        false += control.result != "pass"
        rows = rng.permuted(np.tile(np.arange(10) < 5, (1000, 1)), axis=1).T
        true += design_control(rows[1:9], rows[0], seed=seed).result == "fail"
    return {"false": rate(false, trials), "balanced, two rows held out": rate(true, trials)}


def seconds() -> dict[str, float]:
    """CPU seconds of the blind test with 199 permutations, 20,000 records."""
    rng = np.random.default_rng(0)
    n = 20_000
    bits, people = rng.random(n) < 0.5, np.arange(n)
    [(x, y)] = adult(0, n)
    images = rng.random((n, 3, 32, 32), dtype=np.float32)
    found = {}
    for name, records, labels, classes in (
        ("adult one-hot", x, y, 2),
        ("images 3x32x32", images, rng.integers(0, 10, n), 10),
    ):
        start = time.process_time()
        modality = "image" if records.ndim > 2 else "tabular"
        blind_test(records, labels, classes, bits, people, policy=POLICY, modality=modality, seed=0)
        found[name] = round(time.process_time() - start, 1)
    return found


def figures(share: float) -> Mapping[str, object]:
    def count(full: int) -> int:
        return max(1, round(full * share))

    return {
        "blind false alarms at 5%": blind_null(count(300)),
        "blind against boosting, AUC": blind_against_boosting(count(10)),
        "blind CPU seconds": seconds(),
        "placebo false alarms at 5%": placebo_null(count(500)),
        "members chosen by easiness": easy_members(count(10)),
        "canaries found": canary_errors(count(500)),
        "design": design_errors(count(200)),
    }


if __name__ == "__main__":
    from evidence import write

    if not ADULT.exists():
        sys.exit(f"skipped: {ADULT.name} is not there")
    sliced = "--slice" in sys.argv
    result = figures(0.1 if sliced else 1.0)
    print(json.dumps(result, indent=2))
    if not sliced:
        write("controls", result, PATHS)
