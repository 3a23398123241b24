"""The overall line: the gravest word among realistic adversaries, status and exit code."""

from collections.abc import Sequence

from attrs import frozen

from leakpro_core.judge.numbers import listed
from leakpro_core.judge.rounds import MAIN, TENTH
from leakpro_core.judge.words import within
from leakpro_core.plan import Policy
from leakpro_core.report import LEAKS, Card, Finding, Word

GRAVEST = (
    Word.EXTRACTION,
    Word.STRONG,
    Word.CLEAR,
    Word.WEAK,
    Word.INVALID,
    Word.INCONCLUSIVE,
    Word.NOT_TESTED,
    Word.NOT_FOUND,
)

_FAMILIES = {"membership": MAIN, "most vulnerable tenth": TENTH}


@frozen(kw_only=True)
class Overall:
    """The line on top of the report. status: complete, incomplete or invalid."""

    word: Word
    status: str
    statement: str
    exit_code: int


def overall(
    findings: Sequence[Finding],
    cards: Sequence[Card],
    policy: Policy,
    *,
    incomplete: Sequence[str] = (),
    invalid: Sequence[str] = (),
) -> Overall:
    """Return the verdict on the whole audit.

    The gravest word among the adversaries labelled realistic, among all where none is.
    incomplete, invalid: reasons beside those in the findings.
    Exit code: 3 invalid or incomplete; 1 a leak, unless it is a weak or clear one, its upper
    bounds are tolerated and the policy lets that pass; 2 inconclusive; else 0.
    """
    realistic = [card.name for card in cards if card.label == "realistic"]
    counted = [f for f in findings if f.adversary in realistic] if realistic else list(findings)
    gravest = min(counted, key=_gravity, default=None)
    word = Word.NOT_TESTED if gravest is None else gravest.word
    missing = list(dict.fromkeys([*incomplete, *_missing(findings, cards, policy)]))
    status = "complete"
    if missing or any(f.word is Word.INVALID for f in findings):
        status = "incomplete"
    if invalid or any(f.word is Word.INVALID for f in counted):
        status = "invalid"
    said = [_headline(gravest, realistic)]
    others = [f for f in findings if f not in counted]
    if others:
        worst = min(others, key=_gravity)
        said.append(f"In the worst case ({worst.adversary}): {worst.word.value}.")
    if invalid:
        said.append(f"The audit is invalid: {listed(invalid)}.")
    if missing:
        said.append(f"The audit is incomplete: {listed(missing)}.")
    return Overall(
        word=word,
        status=status,
        statement=" ".join(said),
        exit_code=3 if status != "complete" else _exit_code(counted, policy),
    )


def _headline(gravest: Finding | None, realistic: Sequence[str]) -> str:
    if gravest is None:
        return "Not tested."
    who = "a realistic adversary" if realistic else "an adversary, none being declared realistic"
    word = gravest.word.value.capitalize()
    return f"{word} against {who} ({gravest.adversary}, {gravest.family}). {gravest.statement}"


def _gravity(finding: Finding) -> tuple[int, float]:
    return GRAVEST.index(finding.word), -finding.strength


def _missing(findings: Sequence[Finding], cards: Sequence[Card], policy: Policy) -> list[str]:
    """Return the mandatory families that no finding of an adversary speaks of."""
    tested = {(f.adversary, f.family) for f in findings if f.word is not Word.NOT_TESTED}
    wanted = [(card.name, _FAMILIES.get(name, name)) for card in cards for name in policy.mandatory]
    return [
        f"{family} was not tested ({who})" for who, family in wanted if (who, family) not in tested
    ]


def _exit_code(counted: Sequence[Finding], policy: Policy) -> int:
    leaks = [f for f in counted if f.word in LEAKS]
    if not all(_tolerated(f, policy) for f in leaks):
        return 1
    return 2 if any(f.word is Word.INCONCLUSIVE for f in counted) else 0


def _tolerated(leak: Finding, policy: Policy) -> bool:
    mild = leak.word in (Word.WEAK, Word.CLEAR)
    bounded = all(b.high <= b.tolerated for b in leak.bounds) if leak.bounds else None
    held = within(leak.exclusion) if bounded is None else bounded
    return policy.pass_below_tolerance and mild and held
