"""Who finds the people behind a generator that copies a few marginals?

A generator of the tests is fitted on people of Adult: each of 15 columns is drawn given the one
with which it has the most mutual information (a Chow-Liu tree, as MST's), or given two (as
PrivBayes'). Attacks are asked about as many others as people, with 3,000 auxiliary rows; every
figure is a mean over 20 draws from 9,600 rows, with the 95% interval of the mean (t). Beside these:
the releases of shared/data/adult_audit that copy no marginals, and CPU time.
Writes results/marginal_generators.json; about a minute of one core.
"""

import sys
import time
from collections.abc import Mapping, Sequence

import evidence
import numpy as np
from attrs import asdict

from leakpro_core.arrays import Bools, Floats
from leakpro_core.games.samples import SamplesChallenge
from leakpro_core.statistics.intervals import mean_interval
from leakpro_core.statistics.roc import auc, tpr_at_fpr

SDV = "plugins/leakpro_sdv"
sys.path.insert(0, str(evidence.ROOT / SDV / "tests"))
from adult import adult_challenge, challenge, claims, numbers  # noqa: E402
from marginal_generator import Recipe, drawn  # noqa: E402
from planted import ADULT  # noqa: E402

CODE = (
    "bench/marginal_generators.py",
    "leakpro_core/tabular/blocks.py",
    "leakpro_core/tabular/distance.py",
    f"{SDV}/tests/marginal_generator.py",
    *(
        f"{SDV}/src/leakpro_sdv/{name}.py"
        for name in ("distance", "domias", "gen_lra", "marginals", "neighbour_ratio", "scores")
    ),
)

SEEDS = 20
FPR = 0.1

TREE = "tree"
GENERATORS = {
    TREE: Recipe(),
    "tree, 16 bins of equal width": Recipe(equal_width=True, bins=16),
    "tree, Laplace noise of scale 3": Recipe(noise=3.0),
    "two parents": Recipe(given=2),
}
"""Noise of scale 3 on 15 tables is an epsilon of 5 for all counts; the tree itself is exact."""

PEOPLE = 500
CASES = (
    *((TREE, people, times) for people in (200, 500, 1000) for times in (1, 10)),
    *((name, PEOPLE, times) for name in list(GENERATORS)[1:] for times in (1, 10)),
)
"""Generator, people behind it, and released rows in times of these."""

OTHERS = ("distance", "neighbour-ratio", "domias", "gen-lra")
VARIANTS: Mapping[str, Mapping[str, int]] = {
    "marginals": {},
    "marginals, order = 2": {"order": 2},
    "marginals, bins = 5": {"bins": 5},
    "marginals, bins = 20": {"bins": 20},
}


def scores(asked: SamplesChallenge) -> dict[str, Floats]:
    """Return the claims of every attack and variant."""
    found = {name: claims("marginals", asked, **options) for name, options in VARIANTS.items()}
    return found | {name: claims(name, asked) for name in OTHERS}


def case(name: str, people: int, times: int, seeds: int = SEEDS) -> dict[str, dict[str, Floats]]:
    """Return AUC and TPR of each attack, ``[seeds]``."""
    found: dict[str, dict[str, list[float]]] = {"AUC": {}, "TPR": {}}
    for seed in range(seeds):
        asked, members = drawn(GENERATORS[name], people, times * people, seed)
        for attack, claim in scores(asked).items():
            found["AUC"].setdefault(attack, []).append(auc(claim, members).value)
            found["TPR"].setdefault(attack, []).append(tpr_at_fpr(claim, members, FPR).tpr)
    return {of: {a: np.array(v) for a, v in each.items()} for of, each in found.items()}


def row(of: Mapping[str, Floats]) -> dict[str, str]:
    """Return means over seeds, and the gain over that of the other attacks with the best mean."""
    best = max(OTHERS, key=lambda name: of[name].mean())
    shown = {name: f"{values.mean():.3f}" for name, values in of.items()}
    return shown | {
        "marginals": told(of["marginals"]),
        "gain over the best other": told(of["marginals"] - of[best]),
    }


def told(values: Floats) -> str:
    """Return the mean over seeds with its interval."""
    found = mean_interval(values)
    return f"{values.mean():.3f} [{found.low:.3f}, {found.high:.3f}]"


def given(name: str) -> dict[str, str]:
    """Return AUCs, with their intervals, on a release of shared/data/adult_audit."""
    asked, members = adult_challenge(name)
    return {"release": name, **{a: interval(c, members) for a, c in scores(asked).items()}}


def interval(claim: Floats, members: Bools) -> str:
    """Return the AUC and its interval."""
    found = asdict(auc(claim, members))
    return "{value:.3f} [{low:.3f}, {high:.3f}]".format(**found)


def speed() -> dict[str, float]:
    """Return CPU seconds of ``marginals`` on a large release and on a wide one."""
    rng = np.random.default_rng(36)
    some, _ = adult_challenge("copula")
    many = rng.integers(0, len(some.synthetic), 1_000_000)
    few = rng.permutation(len(some.records))[:2000]
    tables: dict[str, Sequence] = {
        "1,000,000 released rows, 15 columns, 2,000 people": (
            some.records.rows(few),
            some.synthetic.rows(many),
            some.auxiliary,
        ),
        "10,000 released rows, 300 columns, 2,000 people": [
            numbers(rng.normal(size=(n, 300))) for n in (2000, 10_000, 5000)
        ],
    }
    found = {}
    for name, parts in tables.items():
        asked = challenge(*parts)
        start = time.process_time()
        claims("marginals", asked)
        found[name] = round(time.process_time() - start, 1)
    return found


def main() -> None:
    """Measure everything and write the figures."""
    if not ADULT.exists():
        sys.exit(f"skipped: {ADULT} is absent")
    start = time.process_time()
    rows: dict[str, list[dict[str, object]]] = {"AUC": [], "TPR": []}
    for name, people, times in CASES:
        for of, each in case(name, people, times).items():
            said = {"generator": name, "people": people, "released rows": times * people}
            rows[of].append({**said, **row(each)})
            print(of, rows[of][-1], flush=True)
    figures = {
        "AUC": rows["AUC"],
        "TPR at FPR 10%": rows["TPR"],
        "AUC on releases that copy no marginals": [given(name) for name in ("copula", "leaky20")],
        "CPU seconds": speed(),
    }
    print(figures["CPU seconds"], f"{time.process_time() - start:.0f} CPU seconds")
    print(evidence.write("marginal_generators", figures, CODE))


if __name__ == "__main__":
    main()
