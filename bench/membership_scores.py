"""Strength of the membership attacks on a real audit by a peer: Adult, 20,000 rows, 8 shadows.

Scores the peer's very outputs and writes results/membership_scores.json: strength of each
attack, agreement with the peer's own scores, and paired differences in the mean TPR over
log-spaced FPR from .2% to 5%. About half a minute of CPU time.
"""

import sys
from pathlib import Path

import evidence
import numpy as np
from attrs import frozen
from leakpro_mia.combined import CombinedOptions
from leakpro_mia.lira import LiraOptions
from leakpro_mia.plugin import leakpro_attacks
from leakpro_mia.ratio import RatioOptions
from leakpro_mia.stacked import StackedOptions
from scipy.stats import spearmanr

from leakpro_core.arrays import Bools, Floats
from leakpro_core.games.membership import MembershipChallenge
from leakpro_core.signals import derive, stack
from leakpro_core.statistics import auc, roc
from leakpro_core.testing.conformance import answer

DATA = evidence.ROOT.parent / "shared" / "reference" / "membership_adult.npz"
CODE = (
    "bench/membership_scores.py",
    "leakpro_core/signals.py",
    "plugins/leakpro_mia/src/leakpro_mia/*.py",
)
LOW = np.geomspace(0.002, 0.05, 25)
CASES = {
    "loss": ("loss", None),
    "ratio, temperature 1": ("ratio", RatioOptions()),
    "ratio": ("ratio", RatioOptions(temperature=2.0)),
    "ratio, offline": ("ratio", RatioOptions(temperature=2.0, mode="offline")),
    "lira": ("lira", LiraOptions()),
    "lira, per-record variance": ("lira", LiraOptions(variance="per-record")),
    "lira, as the peer": ("lira", LiraOptions(variance="pooled-global", epsilon=1e-45)),
    "lira, offline, as the peer": (
        "lira",
        LiraOptions(mode="offline", variance="pooled-global", epsilon=1e-45),
    ),
    "student": ("student", None),
    "combined": ("combined", CombinedOptions()),
    "stacked": ("stacked", StackedOptions()),
}
AGREEMENT = (
    ("ratio", "score_base_online"),
    ("lira, as the peer", "score_lira_online"),
    ("lira, offline, as the peer", "score_lira_offline"),
)
PAIRS = (
    ("combined", "ratio, temperature 1"),
    ("combined", "ratio"),
    ("stacked", "ratio, temperature 1"),
    ("stacked", "ratio"),
    ("stacked", "combined"),
)


@frozen(kw_only=True)
class Difference:
    """A difference of two attacks' figures, with a 95% interval by bootstrap."""

    value: float
    low: float
    high: float


def adult(path: Path = DATA) -> MembershipChallenge:
    """Return the peer's audit as a challenge, at temperatures 1 and 2."""
    with np.load(path) as peer:
        labels, trained_on = peer["labels"], peer["shadow_in_mask"]
        target = derive(peer["target_logits"], labels, (1.0, 2.0))
        shadows = stack([derive(one, labels, (1.0, 2.0)) for one in peer["shadow_logits"]])
    return MembershipChallenge(
        ids=np.arange(len(labels)),
        labels=labels,
        classes=2,
        target=target,
        shadows=shadows,
        trained_on=trained_on,
        pair=np.arange(len(trained_on)) // 2,
    )


def claims(case: str, challenge: MembershipChallenge) -> Floats:
    """Return the claims of one of ``CASES``."""
    name, options = CASES[case]
    offer = next(offer for offer in leakpro_attacks() if offer.name == name)
    return answer(offer, challenge, options=options).claims


def tpr_at(scores: Floats, members: Bools, rates: Floats) -> Floats:
    """Return the highest TPR with at most floor(rate * n) false positives, for each rate."""
    curve = roc(scores, members)
    tpr: Floats = curve.tpr[np.searchsorted(curve.fpr, rates + 1e-12, side="right") - 1]
    return tpr


def paired_difference(
    a: Floats, b: Floats, members: Bools, *, seed: int = 0, draws: int = 2000
) -> Difference:
    """Return the difference in the mean TPR over ``LOW``; records are drawn again within each arm.

    Both attacks see the same draws, thresholds are found anew in each.
    """
    rng = np.random.default_rng(seed)
    curves = [_Curve.of(scores, members) for scores in (a, b)]
    exposed, control = int(members.sum()), int((~members).sum())
    drawn = np.empty(draws)
    for i in range(draws):
        weights = (
            rng.multinomial(exposed, np.full(exposed, 1 / exposed)),
            rng.multinomial(control, np.full(control, 1 / control)),
        )
        drawn[i] = curves[0].power(*weights) - curves[1].power(*weights)
    ones = np.ones(exposed, np.int64), np.ones(control, np.int64)
    value = curves[0].power(*ones) - curves[1].power(*ones)
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Difference(value=float(value), low=float(low), high=float(high))


@frozen(kw_only=True)
class _Curve:
    """Sorted once: orders of both arms by falling score, and members above each non-member."""

    exposed: np.ndarray
    control: np.ndarray
    above: np.ndarray

    @classmethod
    def of(cls, scores: Floats, members: Bools) -> "_Curve":
        inside, outside = scores[members], scores[~members]
        exposed, control = np.argsort(-inside), np.argsort(-outside)
        above = np.searchsorted(-inside[exposed], -outside[control], side="left")
        return cls(exposed=exposed, control=control, above=above)

    def power(self, exposed: np.ndarray, control: np.ndarray) -> float:
        """Return the mean TPR over ``LOW`` where each record counts so many times."""
        found = np.concatenate([[0], np.cumsum(exposed[self.exposed])]) / exposed.sum()
        passed = np.cumsum(control[self.control])
        # The first non-member that no longer fits into the budget is the threshold.
        budget = np.floor(LOW * control.sum() + 1e-9)
        return float(found[self.above[np.searchsorted(passed, budget, side="right")]].mean())


def main() -> None:
    """Score the audit and write its figures."""
    if not DATA.exists():
        sys.exit(f"skipped: {DATA} is absent")
    challenge = adult()
    scores = {case: claims(case, challenge) for case in CASES}
    with np.load(DATA) as file:
        members, peer = file["membership"], {score: file[score] for _, score in AGREEMENT}
    strength = {case: _strength(each, members) for case, each in scores.items()}
    agreement = {
        case: {
            "peer": peer_score,
            "rank correlation": float(spearmanr(scores[case], peer[peer_score])[0]),
        }
        for case, peer_score in AGREEMENT
    }
    differences = {
        f"{a} - {b}": _rounded(paired_difference(scores[a], scores[b], members)) for a, b in PAIRS
    }
    for title, rows in (
        ("strength", strength),
        ("agreement with the peer", agreement),
        ("paired differences, mean TPR over FPR 0.2% to 5%", differences),
    ):
        print(title)
        for name, row in rows.items():
            print(f"  {name:<42}" + "  ".join(f"{k} {_shown(v)}" for k, v in row.items()))
    figures = {
        "strength": strength,
        "agreement_with_the_peer": agreement,
        "paired_differences_in_the_mean_TPR_over_FPR_0.2%_to_5%": differences,
    }
    print(evidence.write("membership_scores", figures, CODE))


def _shown(value: object) -> str:
    return f"{value:.5f}" if isinstance(value, float) else str(value)


def _rounded(difference: Difference) -> dict[str, object]:
    return {
        "value": round(difference.value, 4),
        "low": round(difference.low, 4),
        "high": round(difference.high, 4),
        "n": 20_000,
        "method": "bootstrap by record, 2000 draws",
    }


def _strength(scores: Floats, members: Bools) -> dict[str, object]:
    area, points = auc(scores, members), tpr_at(scores, members, np.array([0.01, 0.001]))
    return {
        "AUC": round(area.value, 4),
        "low": round(area.low, 4),
        "high": round(area.high, 4),
        "n": area.n,
        "method": area.method,
        "TPR at 1%": round(float(points[0]), 4),
        "TPR at 0.1%": round(float(points[1]), 4),
        "TPR over 0.2% to 5%": round(float(tpr_at(scores, members, LOW).mean()), 4),
    }


if __name__ == "__main__":
    main()
