"""Attribute inference by gradient-boosted trees fitted on the released rows.

Stadler, Oprisanu, Troncoso 2022, "Synthetic Data - Anonymisation Groundhog Day", section 5.
"""

import numpy as np
from attrs import field, frozen, validators
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from leakpro_core.arrays import Floats, Ints
from leakpro_core.games.attribute_inference import AttributeAnswer, AttributeChallenge
from leakpro_core.protocols import Run
from leakpro_core.tabular.table import Table

_CLASSES, _LEVELS = 24, 250
"""Values that are guessed at most, and levels of a column that trees tell apart; the rarer ones
are left out, as if missing."""

_HUGE = 1e300
"""In the place of infinity, which the trees refuse."""


@frozen(kw_only=True)
class BoostedOptions:
    """Options of ``boosted``.

    trees: in all; fewer rounds where more values are to be told apart, a tree each a round;
    rows: released rows that are learnt from, drawn at random where there are more.
    """

    trees: int = field(default=240, validator=validators.ge(1))
    rows: int = field(default=20_000, validator=validators.ge(2))


def attack(challenge: AttributeChallenge, options: BoostedOptions, run: Run) -> AttributeAnswer:
    """Guess the likeliest value; a claim is its probability.

    Numbers are guessed by windows as wide as the tolerance allows, most populous first, so that the
    guess aims at where most values are within it, not at their mean. All abstain where every
    released row lacks the secret value.
    """
    rng = np.random.default_rng(run.seed)
    value = challenge.synthetic.only([challenge.secret.name]).matrix()[:, 0]
    rows = np.flatnonzero(~np.isnan(value))
    if len(rows) > options.rows:
        run.log.info("released rows drawn", rows=options.rows, of=len(rows))
        rows = np.sort(rng.choice(rows, options.rows, replace=False))
    if not len(rows):
        nothing = np.full(len(challenge.known), np.nan)
        return AttributeAnswer(guesses=nothing, claims=nothing)
    guesses, label = _windows(value[rows], challenge.tolerance)
    learnt = label >= 0
    fitted_on, asked, coded = _features(
        challenge.synthetic.rows(rows[learnt]).only(challenge.known.names), challenge.known
    )
    if len(guesses) == 1 or not coded:
        everyone = np.ones(len(challenge.known))
        share = (label == 0).mean()
        return AttributeAnswer(guesses=guesses[0] * everyone, claims=share * everyone)
    rounds = max(8, options.trees // (1 if len(guesses) == 2 else len(guesses)))
    model = HistGradientBoostingClassifier(
        max_iter=min(rounds, 80),
        learning_rate=0.1 if rounds >= 40 else 0.2,
        max_leaf_nodes=15,
        l2_regularization=5.0,  # Without it, leaves with few rows of a rare value run away.
        early_stopping=False,
        categorical_features=coded,
        random_state=run.seed,
    )
    with threadpool_limits(limits=1):
        belief = model.fit(fitted_on, label[learnt]).predict_proba(asked)
    best = belief.argmax(axis=1)
    return AttributeAnswer(guesses=guesses[model.classes_[best]], claims=belief.max(axis=1))


def _windows(value: Floats, tolerance: float) -> tuple[Floats, Ints]:
    """Return what is guessed, float64 ``[classes]``, and int64 ``[n]`` the class of each value.

    A window holds values that lie within the tolerance of its middle, the guess; codes have
    tolerance 0. Each takes what most of the values left lie in; -1 where none came to. The second
    and further ones need two values and one in 500.
    """
    guesses: list[float] = []
    known, at, count = np.unique(value, return_inverse=True, return_counts=True)
    window = np.full(len(known), -1)
    stop = np.searchsorted(known, known + 2 * tolerance, side="right")
    stop = np.maximum(stop, np.arange(len(known)) + 1)
    while len(guesses) < _CLASSES:
        total = np.concatenate([[0], np.cumsum(np.where(window < 0, count, 0))])
        held = total[stop] - total[:-1]
        start = int(held.argmax())
        if held[start] < (max(2, len(value) / 500) if guesses else 1):
            break
        inside = np.arange(start, stop[start])
        inside = inside[window[inside] < 0]
        # Halves first: the sum of two large numbers may overflow.
        guesses.append(float(known[inside[0]] / 2 + known[inside[-1]] / 2))
        window[inside] = len(guesses) - 1
    return np.array(guesses), window[at].astype(np.int64)


def _features(rows: Table, known: Table) -> tuple[Floats, Floats, list[bool]]:
    """Return features of released rows and of people, and which are codes.

    Codes are numbered anew from 0, by how many rows have them. Columns of which no released row
    has a value are left out: nothing is learnt from them, and the trees refuse them.
    """
    fitted_on, asked = rows.matrix(), known.matrix()
    for j, column in enumerate(rows.columns):
        if column.measured:
            for one in (fitted_on, asked):
                np.clip(one[:, j], -_HUGE, _HUGE, out=one[:, j])
            continue
        codes = rows.values[j]
        count = np.bincount(codes[codes >= 0], minlength=len(column.levels) + 1)
        rank = np.empty(len(count))
        rank[np.argsort(-count, kind="stable")] = np.arange(len(count))
        rank[(count == 0) | (rank >= _LEVELS)] = np.nan
        for one, table in ((fitted_on, rows), (asked, known)):
            code = table.values[j]
            one[:, j] = np.where(code >= 0, rank[code], np.nan)
    there = ~np.isnan(fitted_on).all(axis=0)
    coded = np.array([not column.measured for column in rows.columns], np.bool_)
    return fitted_on[:, there], asked[:, there], coded[there].tolist()
