"""Findings arranged for reading: which figures may stand beside a word."""

from collections.abc import Sequence

from attrs import frozen

from leakpro_core.report import (
    LEAKS,
    AttackResult,
    Exclusion,
    Finding,
    Point,
    SuccessPoint,
    Word,
)
from leakpro_html import facets, success, told, words
from leakpro_html.game_words import Claims, GameWords


@frozen(kw_only=True)
class FindingView:
    """A finding, and which of its figures may stand beside its word.

    points: flagging points of the best attack, where a leak was found; bounds: what could still
    be flagged, where none was; conclusive: whether figures may be read at all.
    detection: whether its game is one; of success games hits are the points of the best attack
    over all claims and where it is strongest, with what they are about and how that is told;
    risks: the bounds in the answer, where no leak was found; all_risks: those among the figures.
    """

    finding: Finding
    title: str
    tone: str
    conclusive: bool
    points: tuple[Point, ...]
    bounds: tuple[Exclusion, ...]
    detection: bool
    told: GameWords
    hits: tuple[tuple[str, SuccessPoint, GameWords | Claims], ...]
    risks: success.Bounds
    all_risks: success.Bounds


def arrange(finding: Finding, attacks: Sequence[AttackResult]) -> FindingView:
    """Return a finding arranged; attacks: the adversary's finished ones."""
    leak = finding.word in LEAKS
    conclusive = finding.word not in (Word.INVALID, Word.NOT_TESTED)
    # The operating points of the report are those of all candidates, not of a tenth of them.
    best = [a for a in attacks if a.label == finding.best and finding.family == "membership"]
    winner = next(
        (a for a in attacks if (a.label, a.game) == (finding.best, finding.family) and leak), None
    )
    risks = finding.bounds if conclusive and not leak else ()
    game = finding.family
    return FindingView(
        finding=finding,
        title=told.family(game),
        tone=words.TONE[finding.word],
        conclusive=conclusive,
        points=tuple(p for a in best for p in a.points if p.kind == "fpr") if leak else (),
        bounds=finding.exclusion if conclusive and not leak else (),
        detection=not success.is_success(game),
        told=told.game(game),
        hits=_hits(winner),
        risks=success.bounds(risks, success.ANSWERED),
        all_risks=success.bounds(finding.bounds, success.TABLED),
    )


def _hits(
    attack: AttackResult | None,
) -> tuple[tuple[str, SuccessPoint, GameWords | Claims], ...]:
    """Return the attack's points over all claims and where it is strongest, and what those are.

    Where claims are of several kinds, their own words say of which they are.
    """
    if attack is None or not success.plays(attack):
        return ()
    words = told.game(attack.game)
    points = dict.fromkeys(p for p in (success.main_point(attack), success.strongest(attack)) if p)
    shown: dict[tuple[str, str], tuple[str, SuccessPoint, GameWords | Claims]] = {}
    for p in points:
        own = facets.claims(attack, p, words)
        about = success.about("" if own else p.facet, p.coverage)
        key = (facets.kind(attack, p, words), p.coverage)
        shown.setdefault(key, (about, p, own or words))
    return tuple(shown.values())
