"""Realistic risk reports to render. Rates come from simulated claims; intervals are Beta ones."""

from functools import cache

import numpy as np
from attrs import evolve
from numpy.typing import NDArray
from scipy.stats import beta

from leakpro_core.records import Estimate
from leakpro_core.report import (
    AttackResult,
    Card,
    Control,
    Curve,
    DataSummary,
    Exclusion,
    Finding,
    Histogram,
    NotTested,
    Point,
    PolicySummary,
    Provenance,
    RiskReport,
    StrengthPoint,
    TargetSummary,
    Word,
)

N = 4000
LEVELS = (0.1, 0.01, 0.001)
TOLERANCE = ((0.01, 0.03), (0.001, 0.01))
METHODS = (
    ("loss", "Loss of the target on the true class.", "Yeom 2018", 0.25, 0),
    ("population", "Rank of the loss among auxiliary records.", "Ye 2022", 0.25, 0),
    ("quantile", "Quantile regression of the margin.", "Bertran 2023", 0.3, 0),
    ("ratio", "Likelihood against the mean over shadow models.", "Zarifzadeh 2024", 0.8, 16),
    ("lira", "Likelihood ratio of the margin under two Gaussians.", "Carlini 2022", 0.85, 16),
    ("student", "As lira, with shrunk variances and heavy tails.", "own", 0.95, 16),
    ("combined", "Sum of the ranks of ratio and student.", "own", 1.0, 16),
    ("stacked", "Boosted trees over the other attacks' statistics.", "own", 1.1, 16),
)


def proportion(k: int, n: int) -> Estimate:
    low = float(beta.ppf(0.025, k, n - k + 1)) if k else 0.0
    high = float(beta.ppf(0.975, k + 1, n - k)) if k < n else 1.0
    return Estimate(value=k / n, low=low, high=high, confidence=0.95, n=n, method="Clopper-Pearson")


def area(members: NDArray[np.float64], others: NDArray[np.float64]) -> Estimate:
    ranks = np.searchsorted(np.sort(others), members) / len(others)
    value, error = float(ranks.mean()), 1.1 / np.sqrt(12 * len(others) / 2)
    return Estimate(
        value=value,
        low=max(value - 1.96 * error, 0.0),
        high=min(value + 1.96 * error, 1.0),
        confidence=0.95,
        n=len(members) + len(others),
        method="DeLong, logit interval",
    )


def _point(
    kind: str,
    level: float,
    members: NDArray[np.float64],
    others: NDArray[np.float64],
    control: bool,
) -> Point:
    n = len(others)
    side = others if kind == "fpr" else members
    quantile = 1 - level if kind == "fpr" else level
    threshold = float(np.quantile(side, quantile, method="higher"))
    tp, fp = int((members > threshold).sum()), int((others > threshold).sum())
    tpr, fpr = proportion(tp, n), proportion(fp, n)
    null = proportion(max(int(level * n * 1.05), 1), n) if control and kind == "fpr" else None
    ratio = tpr.low / fpr.high if kind == "fpr" else (1 - fpr.high) / (1 - tpr.low)
    return Point(
        kind=kind,
        level=level,
        threshold=threshold,
        tp=tp,
        members=n,
        fp=fp,
        nonmembers=n,
        tpr=tpr,
        fpr=fpr,
        likelihood_low=ratio,
        placebo=null,
        blind=null,
    )


def _roc(members: NDArray[np.float64], others: NDArray[np.float64]) -> Curve:
    cuts = np.unique(np.concatenate([members, others]))[::-1]
    fpr = 1 - np.searchsorted(np.sort(others), cuts) / len(others)
    tpr = 1 - np.searchsorted(np.sort(members), cuts) / len(members)
    grid = np.geomspace(1 / len(others), 1, 60)
    at = np.interp(grid, fpr, tpr)
    hits = np.rint(at * len(members)).astype(int)
    band = [proportion(int(k), len(members)) for k in hits]
    return Curve(
        fpr=(0.0, *map(float, fpr)),
        tpr=(0.0, *map(float, tpr)),
        band_fpr=tuple(map(float, grid)),
        band_low=tuple(e.low for e in band),
        band_high=tuple(e.high for e in band),
        resolvable=3 / len(others),
    )


@cache
def attack(
    index: int,
    adversary: str,
    *,
    gain: float = 1.0,
    n: int = N,
    control: bool = True,
    shadows: bool = True,
) -> AttackResult:
    """One finished attack with claims simulated at the strength of its method."""
    name, summary, reference, shift, needs = METHODS[index]
    rng = np.random.default_rng([index, len(adversary)])
    members, others = rng.standard_normal(n), rng.standard_normal(n)
    exposed = rng.random(n) < 0.3  # a leak hits some records hard and others not at all
    members += gain * shift * (0.4 + 2.0 * exposed)
    points = tuple(
        _point(kind, level, members, others, control)
        for kind, levels in (("fpr", LEVELS), ("fnr", (0.01, 0.1)))
        for level in levels
        if level * n >= 3 or kind == "fnr"
    )
    edges = np.linspace(-4, 7, 34)
    bins = [np.histogram(np.clip(c, -4, 7), edges)[0] / n for c in (members, others)]
    at = {p.level: p for p in points if p.kind == "fpr"}
    detected = gain * shift > 0.2
    null = area(rng.standard_normal(n), others)
    curve = (
        tuple(
            StrengthPoint(
                shadows=k,
                fpr=0.01,
                auc=area(members * f + (1 - f) * others, others),
                tpr=proportion(round(at[0.01].tp * f), n),
            )
            for k, f in ((4, 0.62), (8, 0.84), (16, 1.0))
        )
        if needs and shadows
        else ()
    )
    return AttackResult(
        label=name,
        attack=name,
        plugin="leakpro-mia",
        version="1.0.0",
        adversary=adversary,
        summary=summary,
        reference=reference,
        options=(("online", "True"), ("variance", "pooled")) if name == "lira" else (),
        auc=area(members, others),
        points=points,
        exclusion=tuple(
            Exclusion(
                fpr=f,
                high=at[f].tpr.high,
                tolerated=r,
                needed=None if at[f].tpr.high <= r else 9000,
            )
            for f, r in TOLERANCE
            if f in at
        ),
        detected=detected,
        p_value=0.0004 if detected else 0.41,
        strength=max(p.likelihood_low for p in points),
        roc=_roc(members, others),
        histogram=Histogram(
            scale="claim",
            edges=tuple(map(float, edges)),
            exposed=tuple(map(float, bins[0])),
            control=tuple(map(float, bins[1])),
        ),
        curve=curve,
        still_rising=bool(curve) and name in ("combined", "stacked"),
        placebo_auc=null if control else None,
        blind_auc=null if control else None,
        evidence="5e" * 32,
    )


REALISTIC = Card(
    name="public API user",
    label="realistic",
    access="confidences",
    top_k=None,
    decimals=4,
    queries=200_000,
    queries_used=8_000,
    knows=("candidate records", "auxiliary population"),
    shadows=0,
    actor="anybody with an account",
    rationale="The model is offered behind a public interface; accounts are free.",
)
WORST = Card(
    name="insider",
    label="worst case",
    access="logits",
    top_k=None,
    decimals=None,
    queries=None,
    queries_used=8_000,
    knows=("candidate records", "auxiliary population", "architecture", "recipe"),
    shadows=16,
    actor="an employee of the processor with the training code",
    rationale="An upper envelope: everything but the membership list and the weights.",
)


def provenance() -> Provenance:
    return Provenance(
        command="leakpro audit audit.toml --out runs/location",
        plan_sha256="9f" * 32,
        seed=7,
        tool="leakpro-core 1.0.0",
        versions=(("python", "3.11.2"), ("numpy", "2.4.0"), ("scipy", "1.17.0")),
        plugins=(
            ("leakpro-mia", "1.0.0", "verified", "2d" * 32),
            ("leakpro-torch", "1.0.0", "verified", "3e" * 32),
            ("leakpro-html", "1.0.0", "unverified (editable)", ""),
        ),
        registry="registry.toml",
        registry_sha256="1b" * 32,
        vetting="warn",
        evidence_sha256="c4" * 32,
        started="2026-11-23T16:00:00Z",
        seconds=154.2,
    )


def _controls() -> tuple[Control, ...]:
    null = Estimate(value=0.503, low=0.489, high=0.517, confidence=0.95, n=8000, method="DeLong")
    return (
        Control(
            name="placebo target",
            result="pass",
            estimate=null,
            statement="A model that never saw the candidates gives nothing away about them.",
            sensitivity="An AUC of 0.52 would have been seen.",
            adversary="insider",
        ),
        Control(
            name="blind classifier",
            result="pass",
            estimate=null,
            statement="Members and non-members cannot be told apart without the model.",
            sensitivity="An AUC of 0.53 would have been seen (power 80%).",
        ),
        Control(
            name="canaries",
            result="warn",
            statement="Planted mislabelled records were found; planted plain ones were not.",
            sensitivity="8 of each strength.",
        ),
        Control(name="duplicates", result="pass", statement="No exact duplicate across the split."),
        Control(
            name="sample size",
            result="pass",
            statement="4,000 non-members resolve an FPR of 0.075%.",
        ),
    )


def _finding(card: Card, attacks: tuple[AttackResult, ...]) -> Finding:
    best = max(attacks, key=lambda a: a.strength)
    lowest = min((p for p in best.points if p.kind == "fpr"), key=lambda p: p.level)
    return Finding(
        family="membership",
        adversary=card.name,
        word=Word.STRONG,
        statement=(
            "On average over those flagged, a flag makes membership at least 10 times likelier "
            "in odds; single records may be far more exposed."
        ),
        technical=f"L = {best.strength:.3g} by {best.label} at FPR {lowest.level:g}.",
        attacks=tuple(a.label for a in attacks),
        best=best.label,
        strength=best.strength,
        exclusion=best.exclusion,
        reach=(round(lowest.tpr.low * 4000), round(lowest.tpr.high * 4000)),
        reach_of=4000,
        reach_fpr=lowest.level,
    )


def _tenth(card: Card) -> Finding:
    return Finding(
        family="membership, most vulnerable tenth",
        adversary=card.name,
        word=Word.STRONG,
        statement=(
            "Among the most vulnerable tenth a flag makes membership at least 10 times likelier "
            "in odds."
        ),
        technical="L = 14.2 by stacked at FPR 10% among 400 + 400 records.",
        attacks=("lira", "stacked"),
        best="stacked",
        strength=14.2,
        exclusion=(Exclusion(fpr=0.1, high=0.71, tolerated=0.2, needed=None),),
        reach=(240, 290),
        reach_of=400,
        reach_fpr=0.1,
    )


NOT_TESTED = (
    NotTested(
        means="decision-boundary attacks with labels only",
        reason="no installed plugin offers one",
        consequence="an adversary who sees labels only may still learn something",
    ),
    NotTested(
        means="reconstruction of training records",
        reason="this audit plays the membership game only",
        consequence="nothing is said about extraction of records or attributes",
    ),
)
LIMITS = (
    "Attacks give lower bounds on what an attacker can do; upper bounds concern only the attacks "
    "that were run, with these powers.",
    "The figures concern the model with the identity given here, not a retrained one.",
    "Audit again for a new version, a new way of access, new data or a new class of attack, and "
    "after twelve months at the latest.",
)


@cache
def leak() -> RiskReport:
    """A strong leak for the insider, a weaker one for the API user; eight attacks in all."""
    weak = tuple(attack(i, REALISTIC.name, gain=0.9) for i in (0, 1, 2))
    strong = tuple(attack(i, WORST.name) for i in (0, 3, 4, 6, 7))
    clear = evolve(
        _finding(REALISTIC, weak),
        word=Word.WEAK,
        statement=(
            "A leak is detectable; the evidence against the average flagged person is weak."
        ),
    )
    return RiskReport(
        name="location-30 classifier",
        status="complete",
        word=Word.WEAK,
        statement=(
            "Weak leak for the realistic adversary: a leak is detectable, and the evidence "
            "against the average flagged person is weak. Strong leak in the worst case."
        ),
        exit_code=1,
        target=TargetSummary(
            kind="model",
            description="my_models:location_mlp",
            identity="ab" * 32,
            parameters=61_086,
            models=1,
            scope="this model",
        ),
        data=DataSummary(
            candidates=2 * N,
            members=N,
            nonmembers=N,
            subjects=2 * N,
            auxiliary=1500,
            classes=30,
            modality="tabular",
            sampling="all",
        ),
        policy=PolicySummary(
            confidence=0.95,
            tolerance=TOLERANCE,
            tenth_tolerance=((0.1, 0.2),),
            headline="combined",
            mandatory=("membership", "most vulnerable tenth"),
        ),
        adversaries=(REALISTIC, WORST),
        findings=(clear, _tenth(REALISTIC), _finding(WORST, strong), _tenth(WORST)),
        attacks=(*weak, *strong),
        controls=_controls(),
        not_tested=NOT_TESTED,
        limits=LIMITS,
        provenance=provenance(),
    )


@cache
def not_found() -> RiskReport:
    """One adversary, no shadows, nothing found and enough records to bound it."""
    attacks = tuple(attack(i, REALISTIC.name, gain=0.0) for i in (0, 1, 2))
    finding = evolve(
        _finding(REALISTIC, attacks),
        word=Word.NOT_FOUND,
        strength=0.0,
        reach=(0, 46),
        statement=(
            "With these attacks, up to 40 of the 4,000 members could still be flagged at an FPR "
            "of 0.1%; this does not show that the risk is insignificant for every person."
        ),
        exclusion=(
            Exclusion(fpr=0.01, high=0.0164, tolerated=0.03),
            Exclusion(fpr=0.001, high=0.0041, tolerated=0.01),
        ),
    )
    return evolve(
        leak(),
        name="readmission model, second version",
        word=Word.NOT_FOUND,
        exit_code=0,
        statement="Not found: with these attacks nothing was detected, within the tolerance.",
        adversaries=(REALISTIC,),
        findings=(finding,),
        attacks=attacks,
    )


@cache
def inconclusive() -> RiskReport:
    """Too few records for the FPR that was asked for."""
    base = not_found()
    attacks = tuple(attack(i, REALISTIC.name, gain=0.0, n=300) for i in (0, 1))
    finding = evolve(
        base.findings[0],
        word=Word.INCONCLUSIVE,
        reach=None,
        reach_of=None,
        reach_fpr=None,
        statement=(
            "No leak found, but the test could not exclude up to 5.2%; about 4,500 members and "
            "as many non-members would be needed."
        ),
        exclusion=(
            Exclusion(fpr=0.01, high=0.052, tolerated=0.03, needed=1200),
            Exclusion(fpr=0.001, high=1.0, tolerated=0.01, needed=4500),
        ),
    )
    return evolve(
        base,
        word=Word.INCONCLUSIVE,
        exit_code=2,
        statement="Inconclusive: too few records.",
        findings=(finding,),
        attacks=attacks,
        data=evolve(base.data, candidates=600, members=300, nonmembers=300, sampling="other"),
    )


@cache
def invalid() -> RiskReport:
    """The placebo sees members whom the model never saw."""
    base = leak()
    failed = Control(
        name="placebo target",
        result="fail",
        adversary=WORST.name,
        statement="Members and non-members differ by themselves: the placebo sees them too.",
        estimate=Estimate(
            value=0.63, low=0.615, high=0.645, confidence=0.95, n=8000, method="DeLong"
        ),
        sensitivity="An AUC of 0.52 would have been seen.",
    )
    return evolve(
        base,
        status="invalid",
        word=Word.INVALID,
        exit_code=3,
        statement="This test cannot support a conclusion because a validity control failed.",
        controls=(failed, *base.controls[1:]),
        findings=tuple(
            evolve(
                f,
                word=Word.INVALID,
                reach=None,
                reach_of=None,
                statement="This test cannot support a conclusion because the placebo failed.",
            )
            for f in base.findings
        ),
    )


def _unfinished(index: int, status: str, reason: str) -> AttackResult:
    name, summary, reference, _, _ = METHODS[index]
    return AttackResult(
        label=name,
        attack=name,
        plugin="leakpro-mia",
        version="1.0.0",
        adversary=WORST.name,
        summary=summary,
        reference=reference,
        status=status,
        reason=reason,
    )


@cache
def incomplete() -> RiskReport:
    """One attack crashed and one could not be played."""
    base = leak()
    unfinished = (
        _unfinished(5, "failed", "ValueError: variance of no observations"),
        _unfinished(2, "not applicable", "needs records, and the plan has outputs only"),
    )
    return evolve(
        base,
        status="incomplete",
        exit_code=3,
        statement="Incomplete: an attack that was asked for failed.",
        attacks=(*base.attacks, *unfinished),
        not_tested=(
            *(
                NotTested(
                    means=f"attack {a.label}, {a.adversary}",
                    reason=a.reason,
                    consequence="Its strength against this target is not known.",
                )
                for a in unfinished
            ),
            *base.not_tested,
        ),
    )


@cache
def smallest() -> RiskReport:
    """Nothing ran: no adversary with an attack, no control, no finding."""
    return evolve(
        incomplete(),
        word=Word.NOT_TESTED,
        findings=(),
        controls=(),
        not_tested=(),
        limits=(),
        attacks=(_unfinished(4, "failed", "out of memory"),),
        adversaries=(WORST,),
    )


@cache
def targets() -> RiskReport:
    """Several targets by one recipe: a statement about the procedure; attacks without controls."""
    base = leak()
    attacks = tuple(attack(i, WORST.name, control=False) for i in range(8))
    return evolve(
        base,
        adversaries=(WORST,),
        attacks=attacks,
        word=Word.STRONG,
        findings=(_finding(WORST, attacks), _tenth(WORST)),
        target=evolve(base.target, models=4, scope="this procedure", parameters=None),
    )


def _exact(rate: Estimate) -> Estimate:
    return evolve(rate, low=rate.value, high=rate.value, method="all members counted")


@cache
def counted() -> RiskReport:
    """All members were tested: their rates have no sampling error, those of others have."""
    base = leak()
    return evolve(
        base,
        attacks=tuple(
            evolve(a, points=tuple(evolve(p, tpr=_exact(p.tpr)) for p in a.points))
            for a in base.attacks
        ),
    )


@cache
def many() -> RiskReport:
    """Thirty attacks of one adversary."""
    base = targets()
    attacks = tuple(
        evolve(attack(i % 8, WORST.name), label=f"{METHODS[i % 8][0]} with the option number {i}")
        for i in range(30)
    )
    return evolve(base, attacks=attacks, findings=(_finding(WORST, attacks), _tenth(WORST)))


HOSTILE = "<script>alert(1)</script>\"'&$\\frac{1$ \u4e2d\u6587 \x07\n{{ 7*7 }}"


@cache
def hostile() -> RiskReport:
    """Every string that a plan or a plugin chooses is an attempt to break out."""
    base = incomplete()
    rename = {card.name: f"{card.name} {HOSTILE}" for card in base.adversaries}
    return evolve(
        base,
        name=HOSTILE,
        statement=HOSTILE,
        target=evolve(base.target, description=HOSTILE, identity=HOSTILE, kind=HOSTILE),
        adversaries=tuple(
            evolve(c, name=rename[c.name], actor=HOSTILE, rationale=HOSTILE, knows=(HOSTILE,))
            for c in base.adversaries
        ),
        attacks=tuple(
            evolve(
                a,
                adversary=rename[a.adversary],
                label=f"{a.label}{HOSTILE}",
                summary=HOSTILE,
                reference=HOSTILE,
                reason=HOSTILE,
                plugin=HOSTILE,
                options=((HOSTILE, HOSTILE),),
            )
            for a in base.attacks
        ),
        findings=tuple(
            evolve(
                f,
                adversary=rename[f.adversary],
                statement=HOSTILE,
                technical=HOSTILE,
                best=f"{f.best}{HOSTILE}",
            )
            for f in base.findings
        ),
        controls=tuple(evolve(c, name=HOSTILE, statement=HOSTILE) for c in base.controls),
        not_tested=(NotTested(means=HOSTILE, reason=HOSTILE, consequence=HOSTILE),),
        limits=(HOSTILE,),
        provenance=evolve(base.provenance, command=HOSTILE, plugins=((HOSTILE,) * 4,)),
    )


SAMPLES = (
    leak,
    not_found,
    inconclusive,
    invalid,
    incomplete,
    smallest,
    targets,
    counted,
    many,
    hostile,
)
