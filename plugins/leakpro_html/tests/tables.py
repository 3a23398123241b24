"""Realistic reports of audits of tables to render. Rates come from counts, by core's intervals."""

from functools import cache

from attrs import evolve
from sample import HOSTILE, attack, leak, proportion

from leakpro_core.records import Estimate
from leakpro_core.report import (
    AttackResult,
    Card,
    Control,
    Finding,
    NotTested,
    PolicySummary,
    RiskBound,
    RiskReport,
    SizePoint,
    SuccessPoint,
    TargetSummary,
    Word,
)
from leakpro_core.statistics import clopper_pearson, newcombe_difference

ROUNDS = 2000
TOLERATED = 0.04
COLUMNS = (
    ("person's number", "identifier"),
    ("age", "numeric"),
    ("workclass", "categorical"),
    ("final weight", "numeric"),
    ("education", "categorical"),
    ("education-num", "numeric"),
    ("marital-status", "categorical"),
    ("occupation", "categorical"),
    ("relationship to the head of the household, as declared in 1994", "categorical"),
    ("race", "categorical"),
    ("sex", "boolean"),
    ('gain > 0 & loss < 1\'000 "net"', "numeric"),
    ("capital-loss", "numeric"),
    ("hours-per-week", "numeric"),
    ("native-country", "categorical"),
    ("date of interview", "datetime"),
    ("remarks", "text"),
)
SECRETS = tuple(name for name, kind in COLUMNS if kind not in ("identifier", "text"))
SHARES = (0.11, 0.71, 0.06, 0.45, 0.84, 0.78, 0.36, 0.8, 0.86, 0.68, 0.92, 0.95, 0.4, 0.91, 0.02)
"""How often control people's values are guessed right, by column."""

SUMMARY = {
    "single-column": ("singling-out", "Predicates of one column: rare values, extremes and gaps."),
    "multi-column": ("singling-out", "Predicates of two to all columns around released rows."),
    "tree": ("singling-out", "Predicates along the branches that isolate a released row soonest."),
    "linkability": ("linkability", "Two halves are linked when one released row is nearest both."),
    "nearest-rows": ("attribute-inference", "Guesses a column from the nearest released rows."),
    "boosted": ("attribute-inference", "Guesses a column by gradient-boosted trees."),
    "copies": ("copies", "Released rows that repeat a row of the training data."),
}


def difference(k1: int, n1: int, k2: int, n2: int) -> Estimate:
    found = newcombe_difference(k1, n1, k2, n2)
    return Estimate(
        value=k1 / n1 - k2 / n2,
        low=found.low,
        high=found.high,
        confidence=0.95,
        n=min(n1, n2),
        method="Newcombe",
    )


def point(
    exposed: int,
    control: int,
    n: int,
    *,
    blind: int | None = None,
    facet: str = "",
    coverage: str = "all claims",
    null_p: float | None = None,
) -> SuccessPoint:
    """One point of hits in each arm, of n claims each."""
    excess = difference(exposed, n, control, n)
    low = clopper_pearson(exposed, n, 0.999).low
    high = max(clopper_pearson(control, n, 0.999).high, 1e-9)
    rest = 1 - control / n
    return SuccessPoint(
        facet=facet,
        coverage=coverage,
        exposed=proportion(exposed, n),
        control=proportion(control, n),
        blind=None if blind is None else proportion(blind, n),
        excess=excess,
        over_blind=None if blind is None else difference(exposed, n, blind, n),
        risk=evolve(
            excess,
            value=excess.value / rest,
            low=excess.low / rest,
            high=excess.high / rest,
            method="ratio of differences",
        ),
        excess_high=newcombe_difference(exposed, n, control, n, 0.9).high,
        likelihood_low=low / (1 - low) * (1 - high) / high if high < 1 else 0.0,
        null_p=null_p,
    )


def success(
    label: str, points: tuple[SuccessPoint, ...], adversary: str, **more: object
) -> AttackResult:
    """A finished attack of a success game with these points."""
    name = label.split(" ")[0]
    game, summary = SUMMARY[name]
    strength = max((p.likelihood_low for p in points), default=0.0)
    given = {
        "detected": strength > 1,
        "p_value": 0.0004 if strength > 1 else 0.43,
        "evidence": "5e" * 32,
        "asked": ROUNDS,
        "made": points[0].exposed.n if points else 0,
        "people": round(points[0].exposed.value * points[0].exposed.n) if points else 0,
        **more,
    }
    return AttackResult(
        label=label,
        attack=name,
        plugin="leakpro-sdv",
        version="1.0.0",
        adversary=adversary,
        summary=summary,
        reference="Article 29 Working Party 216 (2014)",
        game=game,
        success=points,
        strength=strength,
        **given,  # type: ignore[arg-type]
    )


def inference(
    label: str, adversary: str, gain: float, *, blind: bool = True, facets: int = 0
) -> AttackResult:
    """Every column guessed; the gain alternates in sign over the columns, larger where sure."""
    names = SECRETS if not facets else tuple(f"question {i} of the survey" for i in range(facets))
    points = []
    for coverage, n, factor in (
        ("all claims", ROUNDS, 1.0),
        ("surest tenth", ROUNDS // 10, 1.6),
        ("most vulnerable tenth", ROUNDS // 10, 1.3),
    ):
        hits, others = 0, 0
        lines = []
        for i, name in enumerate(names):
            share = SHARES[i % len(SHARES)]
            more = gain * factor * (1 - share) * ((i * 7) % 11 - 3) / 7
            control = round(n * share)
            exposed = min(max(round(n * (share + more)), 0), n)
            hits, others = hits + exposed, others + control
            guess = round(0.97 * control) if blind else None
            lines.append(point(exposed, control, n, blind=guess, facet=name, coverage=coverage))
        n *= len(names)
        guess = round(0.97 * others) if blind else None
        points += [point(hits, others, n, blind=guess, coverage=coverage), *lines]
    return success(
        label,
        tuple(points),
        adversary,
        asked=ROUNDS * len(names),
        people=1800,
        exhibits=f"exhibits/{label}.html",
        options=(("neighbours", "25"),),
    )


def singling_out(adversary: str) -> tuple[AttackResult, ...]:
    """Three attacks: more is singled out the more columns a predicate has."""
    by_columns = tuple(
        point(k, c, n, blind=b, facet=f"{f} columns", coverage="all claims", null_p=0.0004)
        for f, k, c, b, n in (
            (2, 4, 3, 5, 310),
            (3, 9, 4, 4, 340),
            (4, 16, 5, 4, 342),
            (8, 44, 3, 2, 339),
            (12, 66, 1, 0, 331),
            (15, 71, 0, 0, 333),
        )
    )
    pooled = tuple(
        point(k, c, n, blind=b, coverage=name, null_p=0.0004)
        for name, k, c, b, n in (
            ("all claims", 210, 16, 15, 1995),
            ("surest tenth", 61, 2, 1, 199),
            ("most vulnerable tenth", 39, 1, 2, 200),
        )
    )
    multi = success(
        "multi-column",
        pooled + by_columns,
        adversary,
        people=188,
        notes=("5 predicates were heavier than 1 in 48,000 and do not count.",),
        exhibits="exhibits/multi-column.html",
        options=(("columns", "2, 3, 4, 8, 12, 15"),),
    )
    one = success(
        "single-column",
        (
            point(31, 33, 412, blind=30, null_p=0.001),
            point(2, 4, 41, blind=3, coverage="surest tenth", null_p=0.001),
        ),
        adversary,
        people=29,
        notes=(
            "412 of 2,000 predicates were found: no column holds more rare values.",
            "The column person's number is an identifier and was left out.",
        ),
    )
    return one, multi, success("tree", (point(180, 14, 1990, blind=12),), adversary)


def linkability(adversary: str, hits: int = 140) -> AttackResult:
    """One facet; control higher among the surest."""
    return success(
        "linkability",
        (
            point(hits, 22, ROUNDS, blind=19),
            point(6, 9, 200, blind=7, coverage="surest tenth"),
            point(hits // 8, 3, 200, blind=2, coverage="most vulnerable tenth"),
        ),
        adversary,
    )


def copies(adversary: str, hits: int = 960) -> AttackResult:
    """Exact and near copies."""
    return success(
        "copies",
        tuple(
            point(k, c, 4800, blind=c, facet=facet, coverage=coverage)
            for facet, coverage, k, c in (
                ("exact", "all claims", hits, 0),
                ("near", "all claims", hits + 130, 120),
                ("", "all claims", hits + 130, 120),
            )
        ),
        adversary,
        asked=4800,
        exhibits="exhibits/copies.html",
    )


def size(label: str, rows: int, exposed: int, control: int) -> SizePoint:
    return SizePoint(label=label, rows=rows, excess=difference(exposed, ROUNDS, control, ROUNDS))


def failed(label: str, adversary: str, status: str, reason: str) -> AttackResult:
    game, summary = SUMMARY[label]
    return AttackResult(
        label=label,
        attack=label,
        plugin="leakpro-sdv",
        version="1.0.0",
        adversary=adversary,
        summary=summary,
        reference="",
        status=status,
        reason=reason,
        game=game,
    )


ANYBODY = Card(
    name="anybody who downloads the table",
    label="realistic",
    access="samples",
    top_k=None,
    decimals=None,
    queries=None,
    queries_used=0,
    knows=("candidate records", "auxiliary population"),
    shadows=0,
    actor="a reader of the journal that the table was published with",
    rationale="The table is published under an open licence.",
)
INSIDER = Card(
    name="insider",
    label="worst case",
    access="samples",
    top_k=None,
    decimals=None,
    queries=None,
    queries_used=0,
    knows=("candidate records", "auxiliary population", "architecture", "recipe"),
    shadows=8,
    actor="an employee of the processor who can fit the generator again",
)


def _finding(attacks: tuple[AttackResult, ...], word: Word, statement: str) -> Finding:
    best = max(attacks, key=lambda a: a.strength)
    return Finding(
        family=best.game,
        adversary=best.adversary,
        word=word,
        statement=statement,
        technical=f"Largest lower bound of the odds ratio: L = {best.strength:.3g} ({best.label}).",
        attacks=tuple(a.label for a in attacks),
        best=best.label,
        strength=best.strength,
        bounds=tuple(
            RiskBound(
                facet=p.facet,
                coverage=p.coverage,
                high=p.excess_high,
                tolerated=TOLERATED,
                needed=None if p.excess_high <= TOLERATED else 2600,
            )
            for p in best.success
            if p.coverage == "all claims"
        ),
    )


def _controls() -> tuple[Control, ...]:
    return (
        Control(
            name="planted copies",
            result="pass",
            estimate=Estimate(
                value=0.198, low=0.186, high=0.21, confidence=0.95, n=4800, method="Newcombe"
            ),
            statement="Of released rows, 20% were replaced by original ones, and were found.",
            sensitivity="Planted shares: 5% and 20%.",
        ),
        Control(
            name="blind classifier",
            result="pass",
            statement="People in the data and control people cannot be told apart by themselves.",
            sensitivity="An AUC of 0.53 would have been seen (power 80%).",
        ),
        Control(
            name="column fnlwgt",
            result="warn",
            statement="Its values are almost all different, so a copy of it names a person.",
        ),
    )


def _membership(adversary: str) -> AttackResult:
    base = attack(3, adversary)
    return evolve(base, label="neighbour-ratio", attack="neighbour-ratio", plugin="leakpro-sdv")


@cache
def table() -> RiskReport:
    """A table with copies in it: every game, two adversaries, one attack that failed."""
    who = ANYBODY.name
    first = (
        _membership(who),
        *singling_out(who),
        linkability(who),
        inference("nearest-rows", who, 0.04),
        inference("boosted", who, -0.01),
        copies(who),
    )
    second = (
        copies(INSIDER.name),
        failed("linkability", INSIDER.name, "failed", "MemoryError: 3 GiB were wanted"),
        failed("tree", INSIDER.name, "not applicable", "needs 3 columns, and the table has 2"),
    )
    by_game = {
        game: tuple(a for a in first if a.game == game)
        for game in dict.fromkeys(a.game for a in first)
    }
    membership = next(f for f in leak().findings if f.family == "membership")
    findings = (
        evolve(membership, adversary=who, best="neighbour-ratio", attacks=("neighbour-ratio",)),
        _finding(
            by_game["singling-out"],
            Word.STRONG,
            "A leak was found: predicates isolate people in the training data far more often than "
            "control people.",
        ),
        _finding(
            by_game["linkability"],
            Word.CLEAR,
            "A leak was found: halves of rows of people in the data are put together more often.",
        ),
        _finding(
            by_game["attribute-inference"],
            Word.INCONCLUSIVE,
            "No leak was found, but the test could not exclude an excess above 4 points.",
        ),
        _finding(
            by_game["copies"],
            Word.EXTRACTION,
            "Training records were recovered: 940 to 980 of 4,800, against 0 to 4 for control.",
        ),
        _finding(
            (copies(INSIDER.name),),
            Word.EXTRACTION,
            "Training records were recovered: 940 to 980 of 4,800, against 0 to 4 for control.",
        ),
    )
    base = leak()
    return evolve(
        base,
        name="Adult census, synthetic, first release",
        status="incomplete",
        word=Word.EXTRACTION,
        statement=(
            "Extraction shown for the realistic adversary: of 4,800 released rows, 940 to 980 "
            "repeat a row of the training data. This audit is incomplete: an attack failed."
        ),
        target=TargetSummary(
            kind="table",
            description="leaky20.parquet",
            identity="ab" * 32,
            parameters=None,
            models=1,
            scope="this table",
        ),
        data=evolve(
            base.data,
            candidates=7200,
            members=4800,
            nonmembers=2400,
            subjects=7100,
            auxiliary=2400,
            classes=0,
            sampling="all",
            released=4800,
            columns=COLUMNS,
            rounds=ROUNDS,
        ),
        policy=PolicySummary(
            confidence=0.95,
            tolerance=((0.01, 0.03), (0.001, 0.01)),
            tenth_tolerance=((0.1, 0.2),),
            headline=None,
            mandatory=("membership", "copies"),
            excess_tolerance=TOLERATED,
        ),
        adversaries=(ANYBODY, INSIDER),
        findings=findings,
        attacks=first + second,
        controls=_controls(),
        not_tested=(
            NotTested(
                means="attack linkability, insider",
                reason="MemoryError: 3 GiB were wanted",
                consequence="Its strength against this target is not known.",
            ),
        ),
    )


@cache
def generator() -> RiskReport:
    """A generator fitted five times: spread and growth, no auxiliary rows, nothing found."""
    who = ANYBODY.name
    sizes = {
        "spread": tuple(
            size(f"release {i}", 4800, 900 + 9 * (i % 3), 902 - 5 * i) for i in range(1, 6)
        ),
        "growth": tuple(
            size(f"{rows:,} rows", rows, 900 + 12 * i, 899)
            for i, rows in enumerate((480, 1200, 4800, 19200, 76800))
        ),
    }
    attacks = (
        evolve(inference("boosted", who, 0.0, blind=False), exhibits="", **sizes),  # type: ignore[arg-type]
        success("linkability", (point(20, 24, ROUNDS),), who, people=20),
        success("single-column", (), who, notes=("No column has a rare value.",)),
    )
    base = table()
    return evolve(
        base,
        name="CTGAN of the O'Hara & Sons register <staging>",
        status="complete",
        word=Word.NOT_FOUND,
        exit_code=0,
        statement="No leak was found. With these attacks, up to 3 more guesses of 100 could hit.",
        target=evolve(
            base.target,
            kind="generator",
            description="CTGAN, 300 epochs",
            models=5,
            identity="",
            scope="this procedure, over 5 models",
        ),
        data=evolve(base.data, auxiliary=0, sampling="random"),
        adversaries=(ANYBODY,),
        findings=(
            _finding(
                attacks[:1],
                Word.NOT_FOUND,
                "No leak was found; this does not show that the risk is insignificant for every "
                "person.",
            ),
            _finding(attacks[1:2], Word.NOT_FOUND, "No leak was found."),
        ),
        attacks=attacks,
        not_tested=(),
    )


@cache
def wide() -> RiskReport:
    """A survey of 300 questions, each of them guessed."""
    attacks = (inference("nearest-rows", ANYBODY.name, 0.02, facets=300),)
    base = table()
    return evolve(
        base,
        status="complete",
        word=Word.WEAK,
        statement="A leak is detectable.",
        adversaries=(ANYBODY,),
        findings=(_finding(attacks, Word.INCONCLUSIVE, "No leak was found."),),
        attacks=attacks,
        data=evolve(
            base.data,
            columns=tuple((f"question {i} of the survey", "categorical") for i in range(300)),
        ),
        not_tested=(),
    )


@cache
def nothing() -> RiskReport:
    """Every attack failed."""
    base = table()
    return evolve(
        base,
        word=Word.NOT_TESTED,
        adversaries=(INSIDER,),
        findings=(),
        attacks=tuple(a for a in base.attacks if a.status != "finished"),
        data=evolve(base.data, columns=(), rounds=0),
    )


@cache
def hostile() -> RiskReport:
    """Names of columns, facets, notes and files try to break out."""
    base = generator()
    (first, *others) = base.attacks
    points = tuple(
        evolve(p, facet=f"{p.facet}{HOSTILE}" if p.facet else "") for p in first.success[:4]
    )
    evil = evolve(
        first,
        label=HOSTILE,
        success=points,
        notes=(HOSTILE,),
        exhibits=f"exhibits/{HOSTILE}.html",
        spread=tuple(evolve(s, label=HOSTILE) for s in first.spread),
        growth=tuple(evolve(s, label=HOSTILE) for s in first.growth),
    )
    outward = tuple(evolve(a, exhibits="javascript:alert(1)") for a in others)
    finding = evolve(
        base.findings[0],
        bounds=tuple(evolve(b, facet=HOSTILE) for b in base.findings[0].bounds[:5]),
        best=HOSTILE,
    )
    return evolve(
        base,
        attacks=(evil, *outward),
        findings=(finding,),
        data=evolve(base.data, columns=((HOSTILE, HOSTILE),)),
    )


SAMPLES = (table, generator, wide, nothing, hostile)
