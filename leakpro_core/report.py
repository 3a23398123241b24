"""The risk report: what the judge found, as plain records. JSON and HTML are functions of it."""

import json
from enum import StrEnum

from attrs import asdict, field, frozen

from leakpro_core.errors import ReportUnreadable
from leakpro_core.records import Estimate

SCHEMA_VERSION = 1


class Word(StrEnum):
    """The words of a verdict, by the rules in ``docs/verdicts.md``."""

    INVALID = "invalid"
    EXTRACTION = "extraction shown"
    STRONG = "strong leak"
    CLEAR = "clear leak"
    WEAK = "weak leak"
    INCONCLUSIVE = "inconclusive"
    NOT_FOUND = "not found"
    NOT_TESTED = "not tested"


LEAKS = (Word.EXTRACTION, Word.STRONG, Word.CLEAR, Word.WEAK)


@frozen(kw_only=True)
class Point:
    """An attack at one operating point, fixed before the run.

    kind: "fpr" (flags members, at most ``level`` of non-members flagged) or "fnr" (the mirror:
    clears records, at most ``level`` of members cleared; tpr and fpr are still those of flagging).
    tp of members and fp of nonmembers are flagged. likelihood_low is the lower bound of
    tpr / fpr (fnr points: tnr / fnr) with the correction for all attacks, points and cards.
    With several targets counts are sums and rates are means over targets.
    placebo, blind: tpr of the same rule for the placebo target and the blind adversary.
    """

    kind: str
    level: float
    threshold: float | None
    tp: int
    members: int
    fp: int
    nonmembers: int
    tpr: Estimate
    fpr: Estimate
    likelihood_low: float
    placebo: Estimate | None = None
    blind: Estimate | None = None


@frozen(kw_only=True)
class Curve:
    """A ROC with its pointwise band; fpr and tpr are whole tie groups, both end points included."""

    fpr: tuple[float, ...]
    tpr: tuple[float, ...]
    band_fpr: tuple[float, ...]
    band_low: tuple[float, ...]
    band_high: tuple[float, ...]
    resolvable: float


@frozen(kw_only=True)
class Histogram:
    """Claims of members and non-members, in shares per bin. edges has one entry more.

    scale: what was binned: "claim", or "rank" where claims have heavy tails.
    """

    scale: str
    edges: tuple[float, ...]
    exposed: tuple[float, ...]
    control: tuple[float, ...]


@frozen(kw_only=True)
class StrengthPoint:
    """The attack with that many shadow models."""

    shadows: int
    auc: Estimate
    tpr: Estimate
    fpr: float


@frozen(kw_only=True)
class Exclusion:
    """At most ``high`` of the members can be flagged at that FPR by the attacks that were run.

    tolerated: the share the policy tolerates; needed: about how many members and as many
    non-members would let a useless attack be excluded, None where it is excluded already.
    """

    fpr: float
    high: float
    tolerated: float
    needed: int | None = None


@frozen(kw_only=True)
class SuccessPoint:
    """An attack of a success game at one facet and coverage, both fixed before the run.

    facet: what the claims are about (a secret column, a number of columns, ...); "" where there is
    one. coverage: "all claims", "surest tenth" (of the claims) or "most vulnerable tenth" (of the
    people). exposed, control: hit rates of the arms; blind: of an adversary without the release,
    on the exposed arm; excess: exposed minus control, negative where control is higher, never
    clipped; over_blind: exposed minus blind; risk: (exposed - control) / (1 - control), for
    comparison with other tools. excess_high: the upper bound of the excess that stands without
    correction. likelihood_low: lower bound of the odds of a hit, exposed over control, with the
    correction for all attacks, points and cards; null_p: chance of a hit by luck, where known.
    """

    facet: str
    coverage: str
    exposed: Estimate
    control: Estimate
    blind: Estimate | None
    excess: Estimate
    over_blind: Estimate | None
    risk: Estimate
    excess_high: float
    likelihood_low: float
    null_p: float | None = None


@frozen(kw_only=True)
class SizePoint:
    """The attack on a release of that many rows, or on another release.

    excess: over control, of all claims that come true; in detection games, of the AUC over 1/2.
    """

    label: str
    rows: int
    excess: Estimate


@frozen(kw_only=True)
class Fidelity:
    """How near reconstructions look to the records that they are matched with; decides nothing.

    name: of the measure, with its unit; attack: mean over batches; blind: the same of records that
    an adversary guesses who never saw the update, None where there is none.
    """

    name: str
    attack: Estimate
    blind: Estimate | None = None


@frozen(kw_only=True)
class Certified:
    """Reconstructions that the attack says the update alone shows to be right.

    right, wrong: by the client's batch; unjudged: of batches that were not given.
    """

    right: int = 0
    wrong: int = 0
    unjudged: int = 0


@frozen(kw_only=True)
class AttackResult:
    """One attack as one adversary.

    status: finished, failed or not applicable; reason says why it is not finished.
    p_value: family-wise, over all attacks, points and adversaries of the audit.
    game: detection games have auc, points, roc; success games have ``success``.
    asked, made: claims that were wanted, and made; people: distinct people of the training data
    about whom a claim came true, None in detection games; exhibits: name of the file that shows
    some of these, personal data; spread: over releases of other seeds; growth: with the number of
    released rows.
    Of updates, people are batches; fidelity: how reconstructions look; residual: relative distance
    of the update that they give from the one that was sent, mean over batches; certified: how many
    are said to be shown right by the update alone.
    """

    label: str
    attack: str
    plugin: str
    version: str
    adversary: str
    summary: str
    reference: str
    options: tuple[tuple[str, str], ...] = ()
    status: str = "finished"
    reason: str = ""
    auc: Estimate | None = None
    points: tuple[Point, ...] = ()
    exclusion: tuple[Exclusion, ...] = ()
    detected: bool = False
    p_value: float | None = None
    strength: float = 0.0
    roc: Curve | None = None
    histogram: Histogram | None = None
    curve: tuple[StrengthPoint, ...] = ()
    still_rising: bool = False
    placebo_auc: Estimate | None = None
    blind_auc: Estimate | None = None
    evidence: str = ""
    game: str = "membership"
    success: tuple[SuccessPoint, ...] = ()
    asked: int = 0
    made: int = 0
    people: int | None = None
    notes: tuple[str, ...] = ()
    exhibits: str = ""
    spread: tuple[SizePoint, ...] = ()
    growth: tuple[SizePoint, ...] = ()
    fidelity: tuple[Fidelity, ...] = ()
    residual: Estimate | None = None
    certified: Certified | None = None


@frozen(kw_only=True)
class Control:
    """A validity control.

    result: pass, warn, fail or not run; sensitivity: what it could have seen.
    """

    name: str
    result: str
    statement: str
    estimate: Estimate | None = None
    sensitivity: str = ""
    adversary: str = ""


@frozen(kw_only=True)
class Card:
    """An adversary in words and powers. label: "realistic" or "worst case"."""

    name: str
    label: str
    access: str
    top_k: int | None
    decimals: int | None
    queries: int | None
    queries_used: int
    knows: tuple[str, ...]
    shadows: int
    actor: str = ""
    rationale: str = ""


@frozen(kw_only=True)
class RiskBound:
    """At most ``high`` more claims come true about people in the data than about others.

    coverage: of which claims; tolerated: what the policy tolerates; needed: about how many people
    of each arm would let a useless attack be excluded, None where it is excluded already.
    """

    facet: str
    coverage: str
    high: float
    tolerated: float
    needed: int | None = None


@frozen(kw_only=True)
class Finding:
    """The verdict on one family for one adversary.

    family: "membership", "membership, most vulnerable tenth", or the name of a success game.
    bounds: of success games, what exclusion is in detection games.
    reach: at the lowest declared FPR, how many members the best attack flags, low to high;
    None where nothing was found or the sampling does not allow it.
    """

    family: str
    adversary: str
    word: Word
    statement: str
    technical: str
    attacks: tuple[str, ...]
    best: str = ""
    strength: float = 0.0
    exclusion: tuple[Exclusion, ...] = ()
    reach: tuple[int, int] | None = None
    reach_of: int | None = None
    reach_fpr: float | None = None
    bounds: tuple[RiskBound, ...] = ()


@frozen(kw_only=True)
class NotTested:
    """A means that was not tried, why, and what follows."""

    means: str
    reason: str
    consequence: str


@frozen(kw_only=True)
class TargetSummary:
    """What was audited."""

    kind: str
    description: str
    identity: str
    parameters: int | None
    models: int
    scope: str


@frozen(kw_only=True)
class DataSummary:
    """What it was audited with. Counts are per target.

    Of tables: released rows, names and kinds of columns, people of each arm that are attacked.
    Of updates: ``released`` that were received, ``rounds`` batches of ``examples`` records (the
    largest), and among how many decoys a reconstruction names one of a batch.
    """

    candidates: int
    members: int
    nonmembers: int
    subjects: int
    auxiliary: int
    classes: int
    modality: str
    sampling: str
    released: int = 0
    columns: tuple[tuple[str, str], ...] = ()
    rounds: int = 0
    examples: int = 0
    decoys: int = 0


@frozen(kw_only=True)
class PolicySummary:
    """What was declared before the run."""

    confidence: float
    tolerance: tuple[tuple[float, float], ...]
    tenth_tolerance: tuple[tuple[float, float], ...]
    headline: str | None
    mandatory: tuple[str, ...]
    excess_tolerance: float | None = None
    words: tuple[float, ...] = (3.0, 10.0)


@frozen(kw_only=True)
class Provenance:
    """How to do it again. ``started`` and ``seconds`` are the only entries that may differ.

    plugins: name, version, what vetting said, digest ("" where the files were not hashed).
    """

    command: str
    plan_sha256: str
    seed: int
    tool: str
    versions: tuple[tuple[str, str], ...]
    plugins: tuple[tuple[str, str, str, str], ...]
    registry: str
    registry_sha256: str
    vetting: str
    evidence_sha256: str
    started: str = ""
    seconds: float = 0.0


@frozen(kw_only=True)
class RiskReport:
    """A whole audit. status: complete, incomplete or invalid."""

    name: str
    status: str
    word: Word
    statement: str
    exit_code: int
    target: TargetSummary
    data: DataSummary
    policy: PolicySummary
    adversaries: tuple[Card, ...]
    findings: tuple[Finding, ...]
    attacks: tuple[AttackResult, ...]
    controls: tuple[Control, ...]
    not_tested: tuple[NotTested, ...]
    limits: tuple[str, ...]
    provenance: Provenance
    schema_version: int = field(default=SCHEMA_VERSION)


def to_json(report: RiskReport) -> str:
    """Return the report as JSON text; NaN and infinities do not occur in it."""
    return json.dumps(asdict(report), indent=2, allow_nan=False) + "\n"


def from_json(text: str | bytes, what: str = "report.json") -> RiskReport:
    """Return the report that ``to_json`` wrote; ``ReportUnreadable`` if it is anything else."""
    import cattrs
    from cattrs.errors import BaseValidationError

    try:
        raw = json.loads(text)
        version = raw.get("schema_version") if isinstance(raw, dict) else None
        if version != SCHEMA_VERSION:
            raise ReportUnreadable(
                f"{what} has another schema",
                found=f"version {version!r}",
                expected=f"version {SCHEMA_VERSION}",
                fix="Render it with the LeakPro version that wrote it, or run the audit again.",
            )
        return cattrs.Converter(forbid_extra_keys=True).structure(raw, RiskReport)
    except (json.JSONDecodeError, BaseValidationError, TypeError, ValueError) as error:
        raise ReportUnreadable(
            f"{what} cannot be read",
            found=str(error).splitlines()[0],
            expected="a report written by leakpro audit",
            fix="Delete it and run the audit again, which goes on from what is finished.",
        ) from None
