"""Canaries: records planted so that a working attack must find some of them.

Where core trains the targets, a record's chance to be in the training data is core's to draw, so
canaries need no further model. If none is found, "nothing found" says nothing about the model.
"""

from collections.abc import Mapping

import numpy as np
from attrs import frozen
from scipy.stats import norm

from leakpro_core.arrays import AnyArray, Bools, Floats, Ints, array
from leakpro_core.controls.permutation import auc_weights, joint_test
from leakpro_core.errors import BadValue
from leakpro_core.plan import Policy
from leakpro_core.records import Estimate
from leakpro_core.report import Control

STRENGTHS = {1: "plain", 2: "rare", 3: "mislabelled"}
"""Weakest first: ordinary records; records with independently drawn features; wrong labels."""

NAME = "canaries"
ALPHA = 0.05


@frozen(kw_only=True)
class Planted:
    """A population with canaries, in the same order and number.

    strength: int64 ``[n]``: 0 ordinary, 1 plain, 2 rare, 3 mislabelled. Those of strength 2 and 3
    are no people: they have subjects of their own and stay out of the main evidence.
    """

    records: AnyArray = array()
    labels: Ints = array(np.int64)
    subjects: Ints = array(np.int64)
    strength: Ints = array(np.int64)


def plant(
    records: AnyArray, labels: Ints, classes: int, subjects: Ints, count: int, seed: int
) -> Planted:
    """Return the population with ``count`` canaries of each strength, one per subject at most.

    records: ``[n, ...]``. ``BadValue`` if canaries would be more than a tenth of the records, if
    there are too few subjects, or if there is no second class to mislabel with.
    """
    n = len(labels)
    _check(count, n, len(np.unique(subjects)), classes)
    rng = np.random.default_rng(seed)
    people, first = np.unique(subjects, return_index=True)
    chosen = rng.permutation(first)[: count * len(STRENGTHS)].reshape(len(STRENGTHS), count)
    strength = np.zeros(n, np.int64)
    for number, rows in zip(STRENGTHS, chosen, strict=True):
        strength[rows] = number
    rare, wrong = np.flatnonzero(strength == 2), np.flatnonzero(strength == 3)
    # A copy in memory, also of memory-mapped records.
    new_records, new_labels, owner = np.array(records), np.array(labels), np.array(subjects)
    flat = new_records.reshape(n, -1)
    for column in range(flat.shape[1]):
        flat[rare, column] = np.asarray(records).reshape(n, -1)[rng.integers(0, n, count), column]
    new_labels[wrong] = (labels[wrong] + rng.integers(1, classes, count)) % classes
    own = np.concatenate([rare, wrong])
    owner[own] = people.max() + 1 + np.arange(len(own))
    return Planted(records=new_records, labels=new_labels, subjects=owner, strength=strength)


def canary_control(
    claims: Mapping[str, Floats], exposed: Bools, strength: Ints, policy: Policy, *, seed: int
) -> Control:
    """Return which strengths some attack finds.

    claims: by attack, ``[targets, n]``, NaN abstains; exposed: bool ``[targets, n]``;
    strength: ``[n]`` as ``plant`` returns it. For each strength the AUC of the best attack, by
    permutation of the canaries' bits, family-wise at 5% over attacks and strengths.
    """
    tests = _tests(claims, exposed, strength)
    if not tests:
        return Control(name=NAME, result="not run", statement="Not run: no attack finished.")
    bits = exposed[:, strength > 0]
    weights = np.stack([test.weights.ravel() for test in tests])
    observed = weights @ bits.ravel()
    order = {kind: i for i, kind in enumerate(dict.fromkeys(t.strength for t in tests))}
    families = np.array([order[t.strength] for t in tests])
    spread, p = joint_test(weights, bits, np.arange(bits.shape[1]), families, seed)
    found = []
    for number, family in order.items():
        mine = np.flatnonzero(families == family)
        best = max(mine, key=lambda i: observed[i] / spread[i] if spread[i] else 0.0)
        found.append(
            _Found(
                strength=number,
                auc=_estimate(
                    0.5 + float(observed[best]),
                    float(spread[best]),
                    int((strength == number).sum()),
                    tests[best].attack,
                    policy.confidence,
                    len(tests),
                ),
                significant=bool(p[family] <= ALPHA),
                spread=float(spread[mine].max()),
            )
        )
    return _control(found, len(tests))


@frozen(kw_only=True)
class _Test:
    attack: str
    strength: int
    weights: Floats


@frozen(kw_only=True)
class _Found:
    strength: int
    auc: Estimate
    significant: bool
    spread: float


def _estimate(
    value: float, spread: float, n: int, attack: str, confidence: float, tests: int
) -> Estimate:
    """Return an AUC whose interval holds for all tests at once: the best of several is shown."""
    half = float(norm.ppf(1 - (1 - confidence) / (2 * tests))) * spread
    return Estimate(
        value=value,
        low=max(0.0, value - half),
        high=min(1.0, value + half),
        confidence=confidence,
        n=n,
        method=f"AUC of {attack}, mean over targets, spread under permutation, simultaneous",
    )


def _tests(claims: Mapping[str, Floats], exposed: Bools, strength: Ints) -> list[_Test]:
    """Return the statistics, mean AUC over targets, as weights of the canaries' bits."""
    rows = np.flatnonzero(strength > 0)
    bits, kind = exposed[:, rows], strength[rows]
    tests = []
    for attack, values in claims.items():
        mine = values[:, rows]
        # Records beyond a query budget were not asked; they say nothing of the attack.
        asked = ~np.isnan(mine).all(axis=0)
        for number in STRENGTHS:
            seen = asked & (kind == number)
            weights = [auc_weights(mine[t], seen, bits[t : t + 1]) for t in range(len(bits))]
            if any(w.any() for w in weights):
                table = np.concatenate(weights) / len(bits)
                tests.append(_Test(attack=attack, strength=number, weights=table))
    return tests


def _control(found: list[_Found], tests: int) -> Control:
    seen = [f for f in found if f.significant]
    parts = [
        f"{STRENGTHS[f.strength]} ones were {'found' if f.significant else 'not found'} "
        f"(AUC {f.auc.value:.2f}, {f.auc.low:.2f} to {f.auc.high:.2f})"
        for f in sorted(found, key=lambda f: -f.strength)
    ]
    listed = ", ".join(parts)
    if seen:
        weakest = min(seen, key=lambda f: f.strength)
        statement = (
            f"Of the records planted to be found, {listed}; "
            f"the weakest that was found is {STRENGTHS[weakest.strength]}."
        )
    else:
        weakest = max(found, key=lambda f: f.strength)
        statement = (
            f"No attack found any of the records planted to be found: {listed}; "
            "that nothing else was found means nothing."
        )
    critical = float(norm.ppf(1 - ALPHA / tests) + norm.ppf(0.8))
    least = 0.5 + critical * max(f.spread for f in found)
    return Control(
        name=NAME,
        result="pass" if seen else "fail",
        statement=statement,
        estimate=weakest.auc,
        sensitivity=f"An AUC of {min(1.0, least):.2f} on canaries of one strength would have been "
        "found in four cases out of five.",
    )


def _check(count: int, records: int, people: int, classes: int) -> None:
    total = count * len(STRENGTHS)
    if count < 1 or total > records // 10:
        raise BadValue(
            "[controls] canaries",
            found=f"{count} of each strength, {total} in all",
            expected=f"at least 1, and at most a tenth of the {records} records in all",
            fix=f"Set it to {records // 10 // len(STRENGTHS)} or less.",
        )
    if total > people:
        raise BadValue(
            "[controls] canaries",
            found=f"{total} canaries for {people} subjects",
            expected="at most one canary a subject",
            fix=f"Set it to {people // len(STRENGTHS)} or less.",
        )
    if classes < 2:
        raise BadValue(
            "[controls] canaries",
            found="labels of one class",
            expected="two classes at least, so that a label can be wrong",
            fix="Set it to 0.",
        )
