"""People who have the row of a person of the other arm, against those that chance brings about.

Replaces ``controls.duplicates`` for tables: with few columns of few values most people have twins
anywhere, and an audit is none the worse for it. What spoils it are people in both arms.
"""

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Floats
from leakpro_core.games.equal_size import reaching
from leakpro_core.judge.numbers import percent
from leakpro_core.records import Estimate
from leakpro_core.report import Control
from leakpro_core.statistics.intervals import Interval
from leakpro_core.statistics.paired import difference, score_interval
from leakpro_core.tabular.exact import repeats
from leakpro_core.tabular.table import Table

LARGE = 0.1
"""Share of people with a twin, beyond chance, that fails; see ``controls.duplicates.LARGE``."""

LOPSIDED, SURE = 0.002, 0.999
"""Share of one arm's people with a twin among auxiliary rows, beyond the other arm's, that fails,
and how sure it must be, as that people of one row come together. Who knows rows of one arm tells
the arms apart without a release: where 75 of 1,500 control people of Adult are known so, and
nothing leaks, a leak is found (p < 0.0001)."""

NAME = "duplicates"


@frozen(kw_only=True)
class _Shares:
    """Of so many people a share has a twin; beyond: that share less what chance brings about."""

    people: int
    twins: float
    chance: float
    beyond: Interval

    @property
    def result(self) -> str:
        return "fail" if self.beyond.low > LARGE else "warn" if self.beyond.low > 0.0 else "pass"


def twin_control(
    original: Table, control: Table, auxiliary: Table | None, seed: int, confidence: float = 0.95
) -> Control:
    """Return whether people stand in two tables that should have none in common.

    A person has a twin where a row of theirs is another's of the other table in all columns but
    identifiers. The share of the original's people with a twin in the control is compared with that
    of the control's people with one among the others of the control, at equal n in closed form
    (``reaching``). The share of auxiliary people with a twin in an arm is compared with that of the
    other arm's people. Fails where the lower bound of a difference is above a tenth, warns above 0:
    Newcombe's hybrid score interval, of people. The shares of both arms' people with a twin among
    the auxiliary rows must be alike, however few of these they are: see ``LOPSIDED``. The same
    limits hold for how many more of the control's people have a twin in their own arm than in the
    other: where all people come in pairs, null audits of small tables had a leak word in 13 of
    48, where they come in threes in 36 of 48.
    Nothing is drawn, so far: ``seed`` is not used.
    """
    del seed
    ways = [(_across(original, control, confidence), "people in the training data", "the control")]
    if auxiliary is not None and len(auxiliary):
        for arm, other, name in (
            (control, original, "the control"),
            (original, control, "the training data"),
        ):
            ways.append((_outside(auxiliary, arm, other, confidence), "auxiliary people", name))
    results = [found.result for found, _, _ in ways]
    said = [_said(*way) for way in ways]
    if auxiliary is not None and len(auxiliary):
        known = _known(original, auxiliary), _known(control, auxiliary)
        results.append(_apart(known[0], known[1], confidence))
        said.append(
            f"{_number(known[0])} people in the training data and {_number(known[1])} control "
            "people have a twin among the auxiliary people."
        )
    result = "fail" if "fail" in results else "warn" if "warn" in results else "pass"
    first = ways[0][0]
    # Of a table's twins among itself one brings the other: the interval is too narrow for them.
    fewer = _across(original, control, SURE).beyond.high
    together = "fail" if fewer < -LARGE else "warn" if fewer < 0.0 else "pass"
    if together != "pass":
        said.append(
            "Control people have twins among themselves more often than among others: people of "
            "one row seem to come together, as households do, and tests that count people take "
            "luck for a leak; name what such people share as subject."
        )
    effect = {
        "fail": " These people should not be in both, and nothing can be concluded",
        "warn": " Some people may be in both, whom no attack can tell apart",
        "pass": "",
    }[result]
    return Control(
        name=NAME,
        result=max(result, together, key=("pass", "warn", "fail").index),
        statement=" ".join(said) + (f"{effect}." if effect else ""),
        estimate=Estimate(
            value=first.twins - first.chance,
            low=first.beyond.low,
            high=first.beyond.high,
            confidence=confidence,
            n=first.people,
            method="share of people with a twin in the control, less that by chance; Newcombe",
        ),
        sensitivity=f"Rows that are equal in all columns but identifiers are seen; more than "
        f"{percent(LARGE)} of the people beyond chance fails, and {percent(LOPSIDED)} of one arm's "
        "that auxiliary people repeat beyond the other's.",
    )


def _across(original: Table, control: Table, confidence: float) -> _Shares:
    """Compare the original's people with the control's, each with as many of the control."""
    of_original, of_control = repeats(original, control), repeats(control, control)
    n = len(np.unique(control.subjects))
    if n < 2:
        return _shares(np.zeros(len(np.unique(original.subjects))), np.zeros(n), confidence)
    found = reaching(of_original.people, n, n - 1)
    by_chance = (of_control.people > 1).astype(np.float64)  # a person repeats its own row
    return _shares(_each(found, original), _each(by_chance, control), confidence)


def _outside(auxiliary: Table, arm: Table, other: Table, confidence: float) -> _Shares:
    """Compare auxiliary people with those of the other arm: who repeats people of an arm?"""
    found, by_chance = (
        _each((repeats(table, arm).people > 0).astype(np.float64), table)
        for table in (auxiliary, other)
    )
    return _shares(found, by_chance, confidence)


def _known(arm: Table, auxiliary: Table) -> Floats:
    """Return whether each person of an arm has a twin among the auxiliary people, 0 or 1."""
    return _each((repeats(arm, auxiliary).people > 0).astype(np.float64), arm)


def _number(known: Floats) -> str:
    return f"{known.sum():,.0f} of {len(known):,}"


def _apart(original: Floats, control: Floats, confidence: float) -> str:
    """Return what comes of the difference of the arms' shares, whichever is larger."""
    one, other = (original, control) if original.mean() > control.mean() else (control, original)
    if _shares(one, other, SURE).beyond.low > LOPSIDED:
        return "fail"
    return "warn" if _shares(one, other, confidence).beyond.low > 0.0 else "pass"


def _each(values: Floats, table: Table) -> Floats:
    """Return the largest value of each person's rows."""
    people, at = np.unique(table.subjects, return_inverse=True)
    most = np.zeros(len(people))
    np.maximum.at(most, at, values)
    return most


def _shares(found: Floats, by_chance: Floats, confidence: float) -> _Shares:
    one, other = float(found.mean()), float(by_chance.mean())
    return _Shares(
        people=len(found),
        twins=one,
        chance=other,
        beyond=difference(
            one,
            score_interval(one, len(found), confidence),
            other,
            score_interval(other, len(by_chance), confidence),
        ),
    )


def _said(found: _Shares, who: str, where: str) -> str:
    count, luck = (round(found.people * share) for share in (found.twins, found.chance))
    return f"{count:,} of {found.people:,} {who} have a twin in {where}; {luck:,} would by chance."
