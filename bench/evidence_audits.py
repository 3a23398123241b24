"""Do whole audits tell the truth? Recorded outputs of a known truth, all attacks, one report each.

What ``evidence_statistics`` counts for the judge's input alone and ``evidence_controls`` for the
controls', this counts end to end: loader, attacks, placebos, controls, judge and words.
Writes bench/results/audits.json. Run from the root: ``python bench/evidence_audits.py``
(about twenty CPU minutes). ``--keep FOLDER`` keeps each audit's outcome there and computes none
twice; several processes with ``--batch 1/4`` and so on fill such a folder together.
"""

import argparse
import json
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import evidence
import numpy as np
from attrs import asdict, evolve, frozen
from sklearn.neural_network import MLPClassifier

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, Singles
from leakpro_core.audit import run
from leakpro_core.draft import read
from leakpro_core.offers import TrainerOffer
from leakpro_core.parser import resolve
from leakpro_core.plugins import Offered, PluginSet
from leakpro_core.protocols import Run
from leakpro_core.records import TrainingSet, TrainingUnit
from leakpro_core.report import LEAKS, RiskReport
from leakpro_core.statistics import clopper_pearson
from leakpro_core.store import write_atomic
from leakpro_core.vetting.registry import Registry

PATHS = (
    "bench/evidence_audits.py",
    "leakpro_core/controls/*.py",
    "leakpro_core/games/membership.py",
    "leakpro_core/judge/describe.py",
    "leakpro_core/judge/detection.py",
    "leakpro_core/judge/measure.py",
    "leakpro_core/judge/numbers.py",
    "leakpro_core/judge/points.py",
    "leakpro_core/judge/rounds.py",
    "leakpro_core/judge/verdict.py",
    "leakpro_core/judge/words.py",
    "leakpro_core/statistics/epsilon.py",
    "leakpro_core/statistics/intervals.py",
    "leakpro_core/statistics/multiplicity.py",
    "leakpro_core/statistics/power.py",
    "leakpro_core/statistics/roc.py",
    "leakpro_core/validity.py",
    "plugins/leakpro_mia/src/leakpro_mia/*.py",
)
LOCATION = evidence.ROOT.parent / "shared" / "data" / "location30.npz"
ATTACKS = ("combined", "lira", "loss", "population", "quantile", "ratio", "stacked", "student")
CLASSES = 4
SHADOWS = 8

Arrays = dict[str, AnyArray]

PLAN = """
schema = 1
seed = {seed}
[target]
loader = "arrays"
path = "outputs.npz"
[data]
sampling = "random"
[controls]
placebo = {placebo}
blind = {blind}
curve = false
[report]
formats = ["json"]
"""

SEVERAL = """
schema = 1
seed = {seed}
[target]
loader = "trained"
targets = 4
[data]
path = "records.npz"
auxiliary_share = 0.2
[shadows]
trainer = "made-up"
count = 8
[controls]
placebo = 2
blind = false
curve = false
[execution]
workers = 0
[report]
formats = ["json"]
"""


# Recorded outputs


def recorded(
    seed: int,
    members: int,
    others: int,
    *,
    leak: float = 0.0,
    shadow_leak: float = 1.5,
    spread: float = 1.0,
    easy: float = 0.0,
) -> Arrays:
    """Return the arrays of an audit whose truth is known.

    A record's margin is its ease, half of which shows in the record (``spread``: of the ease),
    and noise of the model's own. Training on it adds ``leak`` (target) or ``shadow_leak``, more
    where it is hard. easy: log-odds of membership by standard deviation of the hidden half of
    the ease.
    """
    rng = np.random.default_rng([13, seed])
    n = members + others
    everybody = n + n // 2
    x = rng.normal(size=(everybody, 5)).astype(np.float32)
    hidden = rng.normal(size=everybody)
    ease = spread * (0.6 * x[:, 0] + 0.8 * hidden)
    labels = rng.integers(0, CLASSES, everybody)
    order = np.argsort(-(easy * hidden[:n] + rng.logistic(size=n)), kind="stable")
    inside = np.zeros(n, bool)
    inside[order[:members]] = True
    halves = [rng.permutation(np.arange(n) < n // 2) for _ in range(SHADOWS // 2)]
    trained_on = np.array([side for half in halves for side in (half, ~half)])

    def outputs(bits: Bools, gain: float) -> Singles:
        margin = 2.0 + ease + 0.7 * rng.normal(size=everybody)
        margin[:n] += gain * np.exp(-0.3 * ease[:n]) * bits
        return logits(margin, labels, rng)

    target = outputs(inside, leak)
    shadows = np.array([outputs(bits, shadow_leak) for bits in trained_on])
    return {
        "target_outputs": target[:n],
        "shadow_outputs": shadows[:, :n],
        "trained_on": trained_on,
        "labels": labels[:n],
        "members": inside,
        "records": x[:n],
        "auxiliary_outputs": target[n:],
        "auxiliary_shadow_outputs": shadows[:, n:],
        "auxiliary_labels": labels[n:],
        "auxiliary_records": x[n:],
    }


def logits(margin: Floats, labels: Ints, rng: np.random.Generator) -> Singles:
    """Return logits ``[n, CLASSES]`` with the given margins of the true class."""
    rows = np.arange(len(labels))
    values = 0.5 * rng.normal(size=(len(labels), CLASSES))
    values[rows, labels] = -np.inf
    values[rows, labels] = margin + np.log(np.exp(values).sum(axis=1))
    return values.astype(np.float32)


def planted(seed: int, n: int = 2000) -> Arrays:
    """Return arrays where no attack has more than a TPR of 5% at an FPR of 1%.

    Records do not differ but for noise; 4% of the members are lifted into the highest percent.
    """
    arrays = recorded(seed, n, n, shadow_leak=0.0, spread=0.0)
    rng = np.random.default_rng([14, seed])
    lifted = np.flatnonzero(arrays["members"] & (rng.random(2 * n) < 0.04 / 0.99))
    margin = np.sort(2.0 + 0.7 * rng.normal(size=400_000))[-4000:]
    arrays["target_outputs"] = np.array(arrays["target_outputs"])
    arrays["target_outputs"][lifted] = logits(
        rng.choice(margin, len(lifted)), arrays["labels"][lifted], rng
    )
    return arrays


def overfitted(seed: int, n: int = 2500) -> Arrays:
    """Return arrays whose loss looks as an overfitted model's does, AUC about .82.

    Most non-members' margins lie below all members', but the easiest records are nearly as
    frequent in either arm.
    """
    rng = np.random.default_rng([15, seed])
    inside = rng.permutation(np.arange(2 * n) < n)
    hard = ~inside & (rng.random(2 * n) < 0.69)
    margin = rng.random(2 * n) - hard
    easiest = rng.random(2 * n) < np.where(inside, 0.05, 0.04)
    margin[easiest] = 1.0 + rng.random(int(easiest.sum()))
    labels = rng.integers(0, CLASSES, 2 * n)
    return {
        "target_outputs": logits(margin, labels, rng),
        "labels": labels,
        "members": inside,
        "records": rng.normal(size=(2 * n, 3)).astype(np.float32),
    }


def location(seed: int) -> Arrays:
    """Return arrays of a network trained on half of Location-30 until it fits it all."""
    with np.load(LOCATION) as archive:
        x, y = archive["x"].astype(np.float32), archive["y"]
    inside = np.random.default_rng([16, seed]).permutation(np.arange(len(y)) < len(y) // 2)
    model = MLPClassifier(
        (128,), batch_size=64, max_iter=40, n_iter_no_change=40, random_state=seed
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # forty epochs are the recipe
        model.fit(x[inside], y[inside])
    return {
        "target_outputs": model.predict_log_proba(x).astype(np.float32),
        "labels": y,
        "members": inside,
        "records": x,
    }


# Several targets: a trainer whose models know nothing where they are targets


@frozen(kw_only=True)
class MadeUp:
    """Models that answer as ``recorded`` does; the first four, the targets, leak nothing."""

    data: TrainingSet
    unit: TrainingUnit

    def query(self, records: AnyArray) -> Singles:
        """Return logits ``[models, n, CLASSES]``; the first column of a record is its number."""
        rows, ease = records[:, 0].astype(np.int64), records[:, 1]
        number = np.zeros(1 + int(self.data.records[:, 0].max()), np.int64)
        number[self.data.records[:, 0].astype(np.int64)] = self.data.labels
        found = []
        for model, own, seed in zip(self.unit.models, self.unit.rows, self.unit.seeds, strict=True):
            rng = np.random.default_rng(seed)
            noise = rng.normal(size=len(number))
            trained = np.zeros(len(number))
            trained[self.data.records[own, 0].astype(np.int64)] = 1.5 * (model >= 4)
            margin = 2.0 + ease + 0.7 * noise[rows] + trained[rows]
            found.append(logits(margin, number[rows], rng))
        return np.array(found)


def train(data: TrainingSet, unit: TrainingUnit, run: Run) -> MadeUp:
    """Train nothing."""
    return MadeUp(data=data, unit=unit)


def people(seed: int, n: int) -> Arrays:
    """Return records and labels for ``SEVERAL``."""
    rng = np.random.default_rng([17, seed])
    x = rng.normal(size=(n, 4))
    x[:, 0] = rng.permutation(n)
    return {"x": x, "y": np.arange(n) % CLASSES}


# Audits


def plugins() -> PluginSet:
    """Return the installed plugins and the made-up trainer."""
    found = PluginSet.find(Registry())
    offer = TrainerOffer(name="made-up", ref="evidence_audits:train", summary="none")
    mine = Offered(offer=offer, plugin="bench", version="0")
    return evolve(found, trainers=(*found.trainers, mine))


def audit(
    text: str, arrays: Arrays, installed: PluginSet, attacks: Sequence[str] = ATTACKS
) -> RiskReport:
    """Run the plan ``text`` on the arrays with these attacks, and return its report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        np.savez(folder / ("records.npz" if "x" in arrays else "outputs.npz"), **arrays)
        path = folder / "audit.toml"
        path.write_text(text + "".join(f'[[attacks]]\nname = "{a}"\n' for a in attacks))
        return run(resolve(read(path), installed), installed, folder / "run")


@frozen(kw_only=True)
class Outcome:
    """What is counted of a report.

    leak: whether a finding has a leak word; loss: AUC of the attack of that name;
    tpr: by attack, where at most 1% of the others are flagged; placebo: AUC by attack.
    """

    leak: bool
    word: str
    status: str
    controls: Mapping[str, str]
    loss: float
    tpr: Mapping[str, float]
    placebo: Mapping[str, float]
    attacks: int

    @property
    def invalid(self) -> bool:
        """Whether a control failed."""
        return self.status == "invalid"


def outcome(report: RiskReport) -> Outcome:
    """Return what is counted of a report."""
    finished = [a for a in report.attacks if a.auc is not None]
    return Outcome(
        leak=any(f.word in LEAKS for f in report.findings),
        word=report.word.value,
        status=report.status,
        controls={c.name: c.result for c in report.controls},
        loss=next(a.auc.value for a in finished if a.attack == "loss" and a.auc is not None),
        tpr={
            a.label: p.tpr.value
            for a in finished
            for p in a.points
            if (p.kind, p.level) == ("fpr", 0.01)
        },
        placebo={a.label: a.placebo_auc.value for a in finished if a.placebo_auc is not None},
        attacks=len(finished),
    )


def plan(seed: int, *, placebo: int = 2, blind: bool = True) -> str:
    """Return the plan of an audit of recorded outputs."""
    return PLAN.format(seed=seed, placebo=placebo, blind=str(blind).lower())


def null(seed: int, installed: PluginSet, n: int = 200, *, blind: bool = True) -> Outcome:
    """Members at random, a target that never saw any; shadows do leak."""
    return outcome(audit(plan(seed, blind=blind), recorded(seed, n, n), installed))


def null_of_several(seed: int, installed: PluginSet, n: int = 500) -> Outcome:
    """The same for four targets that core trains: 200 members and 200 others each."""
    return outcome(audit(SEVERAL.format(seed=seed), people(seed, n), installed))


def planted_leak(seed: int, installed: PluginSet) -> Outcome:
    """A TPR of 5% at an FPR of 1%, 2,000 + 2,000 rounds."""
    return outcome(audit(plan(seed), planted(seed), installed))


def plain_loss(seed: int, installed: PluginSet) -> Outcome:
    """The loss alone on an overfitted model, made up."""
    return outcome(audit(plan(seed, placebo=0), overfitted(seed), installed, ("loss",)))


def plain_loss_of_location(seed: int, installed: PluginSet) -> Outcome:
    """The loss alone on an overfitted network."""
    return outcome(audit(plan(seed, placebo=0), location(seed), installed, ("loss",)))


def easy_members(seed: int, installed: PluginSet, easy: float, n: int = 500) -> Outcome:
    """Members chosen for what the records do not show; a target that never saw any."""
    arrays = recorded(seed, n, n, easy=easy)
    return outcome(audit(plan(seed, placebo=4), arrays, installed))


Case = Callable[[int, PluginSet], Outcome]

CASES: Mapping[str, tuple[int, Case]] = {
    "null, 200 + 200": (750, lambda s, p: null(s, p, blind=False)),
    "null, 500 + 500": (150, lambda s, p: null(s, p, 500)),
    "null, 1,500 + 1,500": (50, lambda s, p: null(s, p, 1500)),
    "null, 4 targets": (50, null_of_several),
    "planted": (60, planted_leak),
    "overfitted": (20, plain_loss),
    "Location-30": (5, plain_loss_of_location),
    "easy, 0.3": (20, lambda s, p: easy_members(s, p, 0.3)),
    "easy, 0.6": (20, lambda s, p: easy_members(s, p, 0.6)),
    "easy, 1.0": (20, lambda s, p: easy_members(s, p, 1.0)),
}
"""How many of each; the blind adversary, which costs most, is left out where it says so."""


# Figures


def share(happened: Sequence[bool]) -> dict[str, float | int]:
    """Return how often it happened, of how many, with a 95% interval."""
    k, n = sum(happened), len(happened)
    found = clopper_pearson(k, n)
    return {
        "share": round(k / n, 4),
        "low": round(found.low, 4),
        "high": round(found.high, 4),
        "of": n,
    }


def figures(found: Mapping[str, Sequence[Outcome]]) -> dict[str, object]:
    """Return the shares of all cases; nulls are counted together too."""
    nulls = {name: some for name, some in found.items() if name.startswith("null")}
    return {
        "null audits": of_nulls([o for some in nulls.values() for o in some]),
        **{name: of_nulls(some) for name, some in nulls.items()},
        "planted, TPR 5% at FPR 1%": {
            "leak word": share([o.leak for o in found["planted"]]),
            "invalid": share([o.invalid for o in found["planted"]]),
            "largest mean TPR at FPR 1%": max(means([o.tpr for o in found["planted"]]).values()),
        },
        "overfitted, loss alone": {
            name: {
                "AUC": round(float(np.mean([o.loss for o in found[name]])), 3),
                "TPR at FPR 1%": means([o.tpr for o in found[name]])["loss"],
                "words": dict(Counter(o.word for o in found[name])),
            }
            for name in ("overfitted", "Location-30")
            if found[name]
        },
        "members chosen by easiness": {
            name: {
                "AUC of the loss": round(float(np.mean([o.loss for o in some])), 3),
                "placebo AUC of the loss": means([o.placebo for o in some])["loss"],
                "invalid": share([o.invalid for o in some]),
                "failed": fails(some),
                "leak word": share([o.leak for o in some]),
            }
            for name, some in found.items()
            if name.startswith("easy")
        },
    }


def of_nulls(found: Sequence[Outcome]) -> dict[str, object]:
    """Return how often useless attacks were given a leak word, and how often a control failed."""
    return {
        "leak word": share([o.leak for o in found]),
        "invalid": share([o.invalid for o in found]),
        "failed": fails(found),
        "attacks": sorted({o.attacks for o in found}),
    }


def fails(found: Sequence[Outcome]) -> dict[str, int]:
    """Return how often each control failed."""
    return dict(Counter(c for o in found for c, r in sorted(o.controls.items()) if r == "fail"))


def means(found: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of each attack's figure."""
    labels = sorted({label for one in found for label in one})
    return {
        label: round(float(np.mean([one[label] for one in found if label in one])), 4)
        for label in labels
    }


def outcomes(batch: tuple[int, int], keep: Path | None) -> dict[str, list[Outcome]]:
    """Return the outcomes of every batch[1]-th audit from batch[0] on."""
    installed = plugins()
    if keep is not None:
        # Outcomes of other code do not mix.
        keep = keep / evidence.code_hash(PATHS)[:16]
        keep.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[Outcome]] = {}
    for name, (count, case) in CASES.items():
        if name == "Location-30" and not LOCATION.exists():
            count = 0
        found[name] = []
        for seed in range(count):
            if seed % batch[1] != batch[0]:
                continue
            kept = None if keep is None else keep / f"{name}, {seed}.json"
            if kept is not None and kept.exists():
                found[name].append(Outcome(**json.loads(kept.read_text())))
                continue
            found[name].append(case(seed, installed))
            if kept is not None:
                write_atomic(kept, json.dumps(asdict(found[name][-1])).encode())
    return found


def main() -> None:
    """Run the audits and write their figures, or in a batch of several only keep outcomes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--batch", default="1/1", help="2/4: the second of four")
    options = parser.parse_args()
    number, of = map(int, options.batch.split("/"))
    found = outcomes((number - 1, of), options.keep)
    if of == 1:
        print(json.dumps(figures(found), indent=2))
        print(evidence.write("audits", figures(found), PATHS))


if __name__ == "__main__":
    main()
