"""Realistic reports of audits of clients' updates. Rates come from counts, by core's intervals."""

from collections.abc import Sequence
from functools import cache

from attrs import evolve
from sample import HOSTILE, LIMITS, attack, provenance
from tables import point

from leakpro_core.records import Estimate
from leakpro_core.report import (
    AttackResult,
    Card,
    Certified,
    Control,
    DataSummary,
    Fidelity,
    Finding,
    NotTested,
    PolicySummary,
    RiskBound,
    RiskReport,
    SuccessPoint,
    TargetSummary,
    Word,
)

BATCHES, RECORDS, DECOYS = 40, 8, 100
LUCK = RECORDS / (RECORDS + DECOYS)
TOLERATED = 0.1
INVERSION = "gradient-inversion"
SUMMARY = {
    "exact": ("Exact records from a fully connected first layer.", "Dimitrov et al. 2024"),
    "inversion": ("Records by optimisation until their update is the one sent.", "Geiping 2020"),
    "boaster": ("An attack whose certificates do not hold.", "own"),
    "labels": ("The batch's labels, in closed form from the last bias.", "Zhao et al. 2020"),
    "one-hot": ("Rows by optimisation over one-hot groups.", "Vero et al. 2023"),
}

SERVER = Card(
    name="curious server",
    label="realistic",
    access="update",
    top_k=None,
    decimals=None,
    queries=None,
    queries_used=0,
    knows=("batch size", "hyper-parameters", "auxiliary population"),
    shadows=0,
    actor="whoever runs the server, and follows the protocol",
    rationale="It wrote the training loop; labels it must find out itself.",
)
ENVELOPE = Card(
    name="server that knows the labels",
    label="worst case",
    access="update",
    top_k=None,
    decimals=None,
    queries=None,
    queries_used=0,
    knows=("labels", "batch size", "hyper-parameters", "batch-norm statistics"),
    shadows=0,
)


def mean(value: float, half: float, n: int = BATCHES) -> Estimate:
    """A mean over batches."""
    return Estimate(
        value=value,
        low=value - half,
        high=value + half,
        confidence=0.95,
        n=n,
        method="mean over batches, t interval" if n > 1 else "one batch, no interval",
    )


def _of_batches(p: SuccessPoint) -> SuccessPoint:
    """Core counts batches by the method that it counts people by."""
    over = "Clopper-Pearson over people"
    blind = None if p.blind is None else evolve(p.blind, method=over)
    exposed, control = (evolve(e, method=over) for e in (p.exposed, p.control))
    return evolve(p, exposed=exposed, control=control, blind=blind)


def claimed(
    identified: tuple[int, int, int],
    recovered: tuple[int, int, int] | None = None,
    labels: tuple[int, int, int] | None = None,
    *,
    n: int = BATCHES,
) -> tuple[SuccessPoint, ...]:
    """Points as core has them: over all claims and by kind, of hits of client, decoys and blind."""
    k, c, b = identified
    found = [
        point(k, c, n, blind=b, null_p=LUCK),
        point(k // 10, c // 10, n // 10, blind=0, coverage="surest tenth", null_p=LUCK),
    ]
    kinds = (("identified", identified), ("recovered", recovered), ("labels", labels))
    found += [
        point(
            *hits[:2], n, blind=hits[2], facet=name, null_p=LUCK if name == "identified" else None
        )
        for name, hits in kinds
        if hits is not None
    ]
    return tuple(map(_of_batches, found))


def played(
    label: str, adversary: Card, points: Sequence[SuccessPoint], **more: object
) -> AttackResult:
    """A finished attack on updates with these points."""
    summary, reference = SUMMARY[label]
    strength = max((p.likelihood_low for p in points), default=0.0)
    given = {
        "detected": strength > 1,
        "p_value": 0.0004 if strength > 1 else 0.43 if points else None,
        "evidence": "5e" * 32 if points else "",
        "asked": BATCHES * RECORDS if points else 0,
        "made": BATCHES * RECORDS if points else 0,
        "people": 39 if points else None,
        **more,
    }
    return AttackResult(
        label=label,
        attack=label,
        plugin="leakpro-fl",
        version="1.0.0",
        adversary=adversary.name,
        summary=summary,
        reference=reference,
        game=INVERSION,
        success=tuple(points),
        strength=strength,
        **given,  # type: ignore[arg-type]
    )


def unfinished(label: str, adversary: Card, status: str, reason: str) -> AttackResult:
    return evolve(played(label, adversary, ()), status=status, reason=reason, p_value=None)


def looks(psnr: float, ssim: float, n: int = BATCHES) -> tuple[Fidelity, ...]:
    """How reconstructions look, beside what is guessed without the update."""
    return (
        Fidelity(name="PSNR (dB)", attack=mean(psnr, 1.23456, n), blind=mean(11.5, 0.2, n)),
        Fidelity(name="SSIM", attack=mean(ssim, 0.01234, n), blind=mean(0.06, 0.01, n)),
        Fidelity(name="RMSE", attack=mean(3.1e-8, 1e-9, n)),
    )


def finding(
    attacks: Sequence[AttackResult],
    adversary: Card,
    word: Word,
    statement: str,
    bounds: Sequence[tuple[str, float]] = (),
) -> Finding:
    best = max(attacks, key=lambda a: a.strength)
    return Finding(
        family=INVERSION,
        adversary=adversary.name,
        word=word,
        statement=statement,
        technical=f"Largest lower bound of the odds ratio: L = {best.strength:.3g} ({best.label}).",
        attacks=tuple(a.label for a in attacks),
        best=best.label,
        strength=best.strength,
        bounds=tuple(
            RiskBound(
                facet=facet,
                coverage="all claims",
                high=high,
                tolerated=TOLERATED,
                needed=None if high <= TOLERATED else 90,
            )
            for facet, high in bounds
        ),
    )


def membership(adversary: Card) -> AttackResult:
    """An attack on membership: without placebo, since no audit of updates has one."""
    base = attack(3, adversary.name, n=400, shadows=False)
    return evolve(
        base,
        label="alignment",
        attack="alignment",
        plugin="leakpro-fl",
        summary="How well a record's gradient aligns with the updates of all rounds.",
        placebo_auc=None,
        points=tuple(evolve(p, placebo=None) for p in base.points),
    )


def _controls(wrong: int) -> tuple[Control, ...]:
    certificates = Control(
        name="certificates",
        result="fail",
        statement=f"Of what boaster certified: 5 right, {wrong} wrong. {wrong} of the certificates "
        "of boaster are wrong, so none of them is believed.",
        adversary=SERVER.name,
    )
    return (
        Control(
            name="sample size",
            result="pass",
            statement="40 batches of 8 records, each with 100 decoys, are enough to exclude an "
            "attack that knows nothing.",
            sensitivity="By luck a reconstruction names a record of the batch 7.4% of the time.",
        ),
        Control(
            name="guesses without the update",
            result="pass",
            statement="Records that were in no update name the clients' batches 7.2% and decoy "
            "batches 7.6% of the time: the arms are alike (p = 0.330).",
        ),
        *([certificates] if wrong else []),
    )


def _report(**what: object) -> RiskReport:
    given = {
        "name": "Hospital network, round 12",
        "status": "complete",
        "word": Word.EXTRACTION,
        "statement": "Extraction shown against a realistic adversary (curious server).",
        "exit_code": 1,
        "target": TargetSummary(
            kind="update",
            description="a fully connected network, gradients",
            identity="ab" * 32,
            parameters=17_510,
            models=1,
            scope="what clients send of this model, by 40 batches",
        ),
        "data": DataSummary(
            candidates=1_000,
            members=400,
            nonmembers=600,
            subjects=980,
            auxiliary=300,
            classes=10,
            modality="image",
            sampling="other",
            rounds=BATCHES,
            examples=RECORDS,
            decoys=DECOYS,
        ),
        "policy": PolicySummary(
            confidence=0.95,
            tolerance=((0.01, 0.03), (0.001, 0.01)),
            tenth_tolerance=((0.1, 0.2),),
            headline=None,
            mandatory=(INVERSION,),
            excess_tolerance=TOLERATED,
        ),
        "adversaries": (SERVER, ENVELOPE),
        "findings": (),
        "attacks": (),
        "controls": _controls(0),
        "limits": LIMITS,
        "provenance": provenance(),
        "not_tested": (
            NotTested(
                means="a malicious server, which sends a model that is made to be read",
                reason="this server is curious, and sends the model that it was given",
                consequence="It could read more than is found here.",
            ),
        ),
        **what,
    }
    return RiskReport(**given)  # type: ignore[arg-type]


@cache
def leak() -> RiskReport:
    """Extraction; an attack on labels alone, one whose certificates are wrong, one that failed."""
    first = (
        played(
            "exact",
            SERVER,
            claimed((40, 3, 2), (39, 0, 0), (38, 9, 11)),
            certified=Certified(right=312),
            fidelity=looks(93.127, 0.99991),
            residual=mean(2.1e-9, 3e-10),
            exhibits="exhibits/exact@curious server.html",
            options=(("rows", "auto"),),
        ),
        played(
            "inversion",
            SERVER,
            claimed((14, 3, 3), (0, 0, 0), (12, 10, 11)),
            made=300,
            fidelity=looks(17.08, 0.43),
            residual=mean(0.0712, 0.0043),
            notes=("2 restarts of 4 did not converge.",),
        ),
        played(
            "boaster",
            SERVER,
            claimed((3, 3, 2), (0, 0, 0)),
            certified=Certified(right=5, wrong=2),
            residual=mean(3.1e-7, 2e-8),
            fidelity=looks(-1.25, 0.01),
        ),
        played("labels", SERVER, _labels()),
        unfinished("one-hot", SERVER, "not applicable", "needs tabular records"),
    )
    second = (
        played(
            "inversion",
            ENVELOPE,
            claimed((16, 3, 3), (2, 0, 0)),
            fidelity=looks(18.5, 0.51),
            residual=mean(0.0512, 0.0721),
        ),
        unfinished("exact", ENVELOPE, "failed", "MemoryError: 3 GiB were wanted"),
        membership(ENVELOPE),
    )
    return _report(
        status="incomplete",
        findings=(
            finding(first[:4], SERVER, Word.EXTRACTION, "Records of clients were recovered."),
            finding(second[:1], ENVELOPE, Word.CLEAR, "A leak was found."),
            _membership_finding(second[2]),
        ),
        attacks=first + second,
        controls=_controls(2),
    )


def _labels() -> tuple[SuccessPoint, ...]:
    """Points of an attack that gives labels alone: the report does not name the kind."""
    found = point(40, 9, BATCHES, blind=11), point(4, 0, 4, blind=1, coverage="surest tenth")
    return tuple(map(_of_batches, found))


def _membership_finding(found: AttackResult) -> Finding:
    return Finding(
        family="membership",
        adversary=found.adversary,
        word=Word.CLEAR,
        statement="A flag makes membership at least 3 times likelier in odds.",
        technical=f"L = {found.strength:.3g} (alignment).",
        attacks=(found.label,),
        best=found.label,
        strength=found.strength,
        exclusion=found.exclusion,
    )


@cache
def unjudged() -> RiskReport:
    """Three updates were received without their batches: shown by certificate, or not judged."""
    first = played(
        "exact",
        SERVER,
        (),
        certified=Certified(unjudged=23),
        residual=mean(4.4e-17, 1e-17, 3),
        exhibits="exhibits/exact@curious server.html",
    )
    second = played("inversion", ENVELOPE, (), residual=mean(0.213, 0.0, 1))
    base = _report()
    return evolve(
        base,
        target=evolve(base.target, scope="3 updates that were received"),
        data=evolve(
            base.data, released=3, rounds=3, examples=0, decoys=0, candidates=0, members=0,
            nonmembers=0, subjects=0, auxiliary=0,
        ),
        findings=(
            finding((first,), SERVER, Word.EXTRACTION, "They were recovered, by certificate."),
            finding((second,), ENVELOPE, Word.NOT_TESTED, "Not judged: no batch was given."),
        ),
        attacks=(first, second),
        controls=(
            Control(
                name="sample size",
                result="not run",
                statement="No batch can be judged: the client's batch was not given.",
            ),
        ),
    )  # fmt: skip


@cache
def not_found() -> RiskReport:
    """Nothing found with one adversary; too few batches with the other."""
    n = 400
    quiet = played(
        "inversion",
        SERVER,
        claimed((31, 30, 29), (0, 0, 0), (90, 92, 95), n=n),
        fidelity=looks(11.4, 0.05, n),
        residual=mean(0.6712, 0.0043, n),
    )
    few = evolve(quiet, adversary=ENVELOPE.name)
    none = (("identified", 0.0412), ("recovered", 0.0092), ("labels", 0.0551))
    some = (("identified", 0.1433), ("recovered", 0.0892), ("labels", 0.1761))
    base = _report(word=Word.NOT_FOUND, exit_code=0, statement="No leak was found.")
    return evolve(
        base,
        data=evolve(base.data, rounds=n),
        findings=(
            finding((quiet,), SERVER, Word.NOT_FOUND, "No leak was found.", none),
            finding((few,), ENVELOPE, Word.INCONCLUSIVE, "The test could not exclude one.", some),
        ),
        attacks=(quiet, few),
    )


@cache
def hostile() -> RiskReport:
    """Names of measures, notes, reasons and files try to break out."""
    base = unjudged()
    evil = evolve(
        played("exact", SERVER, claimed((40, 3, 2), (39, 0, 0))),
        label=HOSTILE,
        summary=HOSTILE,
        reference=HOSTILE,
        notes=(HOSTILE,),
        fidelity=(Fidelity(name=HOSTILE, attack=mean(1.0, 0.1)),),
        exhibits=f"exhibits/{HOSTILE}.html",
        certified=Certified(wrong=1),
        success=tuple(
            evolve(p, facet=f"{p.facet}{HOSTILE}" if p.facet else "")
            for p in claimed((40, 3, 2), (39, 0, 0))
        ),
    )
    failed = unfinished("inversion", ENVELOPE, "failed", HOSTILE)
    return evolve(
        base,
        name=HOSTILE,
        target=evolve(base.target, description=HOSTILE, scope=HOSTILE),
        adversaries=(evolve(SERVER, rationale=HOSTILE, actor=HOSTILE), ENVELOPE),
        attacks=(evil, evolve(failed, exhibits="javascript:alert(1)")),
        controls=(Control(name=HOSTILE, result="fail", statement=HOSTILE),),
        findings=(finding((evil,), SERVER, Word.EXTRACTION, HOSTILE, ((HOSTILE, 0.3),)),),
    )


SAMPLES = (leak, unjudged, not_found, hostile)
