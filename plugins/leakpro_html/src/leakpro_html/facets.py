"""Points of a success game in which facets are kinds of claims: which of them each is about."""

from collections.abc import Iterator

from attrs import evolve

from leakpro_core.games.gradient_inversion import IDENTIFIED, LABELS
from leakpro_core.report import AttackResult, SuccessPoint
from leakpro_html.game_words import Claims, GameWords

ALL = "all claims"
"""The coverage at which nothing is chosen."""


def first(attack: AttackResult, words: GameWords) -> str:
    """Return the kind of claim that an attack's points over all claims are about, "" for no one.

    The report names kinds where there are several. An attack with one kind gives labels alone,
    unless the luck of naming a record is known.
    """
    if not words.facets:
        return ""
    named = next((p.facet for p in attack.success if p.facet), "")
    if named:
        return named
    if any(p.null_p is not None for p in attack.success):
        return IDENTIFIED
    return LABELS if attack.success else ""


def kind(attack: AttackResult, point: SuccessPoint, words: GameWords) -> str:
    """Return the kind of claim that a point is about, "" where kinds are not told apart."""
    return point.facet or first(attack, words)


def lines(attack: AttackResult, words: GameWords) -> Iterator[tuple[str, SuccessPoint]]:
    """Yield label and point of each kind of claim once: the report has the first kind twice."""
    over_all = [p for p in attack.success if not p.facet]
    for point in attack.success:
        if point.facet and evolve(point, facet="") in over_all:
            continue
        yield label(attack, point, words), point


def label(attack: AttackResult, point: SuccessPoint, words: GameWords) -> str:
    """Return what a point is about: ``recovered``, ``identified, surest tenth``."""
    what = kind(attack, point, words)
    if point.coverage == ALL:
        return what or point.coverage
    return f"{what}, {point.coverage}" if what else point.coverage


def claims(attack: AttackResult, point: SuccessPoint, words: GameWords) -> Claims | None:
    """Return how the claims of a point are told, None where the game's own words tell them."""
    return words.facets.get(kind(attack, point, words))
