"""From measurements of gradient inversion to a word and a sentence, by ``docs/verdicts.md``.

Where a client's batch was not given, nothing can be counted, and only what the update alone shows
is called extraction.
"""

from collections.abc import Sequence

from attrs import evolve

from leakpro_core.judge import inversion_sentences as sentences
from leakpro_core.judge.inversion_beside import Beside, Counted, Demonstrated
from leakpro_core.judge.inversion_sentences import facet_of, largest_excess, recovered
from leakpro_core.judge.success import JudgedSuccess
from leakpro_core.judge.words import CLEAR, STRONG
from leakpro_core.plan import Policy
from leakpro_core.report import Finding, RiskBound, Word

__all__ = ["INVERSION", "Beside", "Counted", "Demonstrated", "inversion_finding"]

INVERSION = "gradient-inversion"


def inversion_finding(
    judged: Sequence[JudgedSuccess],
    policy: Policy,
    *,
    adversary: str,
    beside: Beside,
    invalid: str | None,
    unfinished: Sequence[str],
) -> Finding:
    """Return the verdict on gradient inversion for one adversary; ``judged`` may hold others too.

    invalid: why the test supports no conclusion; unfinished: attacks asked for that did not finish.
    What the update alone shows stands whatever controls say.
    """
    mine = [j for j in judged if (j.adversary, j.game) == (adversary, INVERSION)]
    if not mine:
        return _unjudged(adversary, beside)
    best = min(mine, key=lambda j: (not j.detected, -j.strength, j.p_value, -largest_excess(j)))
    bounds = _widest(mine)
    word = Word.EXTRACTION
    if not beside.demonstrated:
        word = Word.INVALID if invalid is not None else _word(mine, bounds, unfinished)
    if word is Word.INVALID:
        said = f"This test cannot support a conclusion because {sentences.clause(invalid or '')}."
    elif word is Word.NOT_FOUND:
        said = sentences.not_found(mine, bounds) + sentences.how_near(best, beside)
    elif word is Word.INCONCLUSIVE:
        said = sentences.inconclusive(mine, bounds, unfinished) + sentences.how_near(best, beside)
    elif word is Word.EXTRACTION:
        said = sentences.extraction(mine, best, beside)
    else:
        said = sentences.leak(word, best, beside)
    said += sentences.left_over(beside)
    return Finding(
        family=INVERSION,
        adversary=adversary,
        word=word,
        statement=said,
        technical=sentences.technical(mine, best, bounds, beside, policy),
        attacks=tuple(j.label for j in mine),
        best=best.label,
        strength=best.strength,
        bounds=bounds,
    )


def _unjudged(adversary: str, beside: Beside) -> Finding:
    """Return the verdict where nothing can be counted: shown by the update alone, or none."""
    shown = beside.demonstrated
    return Finding(
        family=INVERSION,
        adversary=adversary,
        word=Word.EXTRACTION if shown else Word.NOT_TESTED,
        statement=sentences.shown(shown) if shown else sentences.unjudged(beside),
        technical=sentences.certificates(shown),
        attacks=tuple(d.label for d in shown),
        best=shown[0].label if shown else "",
    )


def _word(
    mine: Sequence[JudgedSuccess], bounds: Sequence[RiskBound], unfinished: Sequence[str]
) -> Word:
    if not any(j.detected for j in mine):
        held = bool(bounds) and all(b.high <= b.tolerated for b in bounds)
        return Word.NOT_FOUND if held and not unfinished else Word.INCONCLUSIVE
    if any(recovered(j) is not None for j in mine):
        return Word.EXTRACTION
    strength = max(j.strength for j in mine)
    return Word.STRONG if strength >= STRONG else Word.CLEAR if strength >= CLEAR else Word.WEAK


def _widest(mine: Sequence[JudgedSuccess]) -> tuple[RiskBound, ...]:
    """Return the largest bound over the attacks, by facet and coverage.

    All claims of an attack together are those of its first facet, which is not every attack's.
    """
    widest: dict[tuple[str, str], RiskBound] = {}
    for judged in mine:
        for bound in judged.bounds:
            b = evolve(bound, facet=facet_of(judged, bound.facet))
            known = widest.setdefault((b.facet, b.coverage), b)
            if b.high > known.high:
                widest[b.facet, b.coverage] = b
    return tuple(widest.values())
