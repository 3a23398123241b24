"""Whether who trained on what gives the target's members away.

In a balanced design every record is in half of all models: leave the target's row out, and what
the other rows lack is the target. An attack that adds up columns would read as a perfect one.
"""

import numpy as np

from leakpro_core.arrays import AnyArray, Bools, Ints, Singles
from leakpro_core.controls.blind import refitted
from leakpro_core.controls.features import standardised
from leakpro_core.report import Control
from leakpro_core.statistics import auc

PRODUCTS = 640
PERMUTATIONS = 199
ALPHA = 0.01
"""Stricter than elsewhere: a design that tells, tells loudly, and chance must not void an audit."""

LARGE = 0.55
NAME = "shadow design"


def pairs(trained_on: Bools) -> Ints:
    """Return a number for each model ``[K]``; models on complementary records share it.

    So do models on the same records, which are no less each other's twins. Models that saw none
    or all of the records have numbers of their own.
    """
    models = len(trained_on)
    # A row and its complement become one.
    rows = np.where(trained_on[:, :1], ~trained_on, trained_on)
    seen = trained_on.sum(axis=1)
    plain = (seen == 0) | (seen == trained_on.shape[1])
    numbered: dict[bytes, int] = {}
    result = [
        numbered.setdefault(f"own {k}".encode() if plain[k] else rows[k].tobytes(), len(numbered))
        for k in range(models)
    ]
    return np.array(result, np.int64)


def design_control(
    trained_on: Bools,
    members: Bools,
    *,
    seed: int,
    subjects: Ints | None = None,
    confidence: float = 0.95,
) -> Control:
    """Return whether the rows that attacks are shown tell members from others.

    trained_on: bool ``[K, n]``, the shadows' rows; members: bool ``[n]``;
    subjects: ``[n]``, every record its own unless given. Fails where a row is the target's or its
    complement, or where a cross-fitted classifier of the columns (rows, their number, and
    products of two rows where these are few) finds members at 1% with an AUC of at least .55.
    """
    if not len(trained_on):
        return Control(name=NAME, result="not run", statement="Not run: there are no shadows.")
    agree = (trained_on == members).mean(axis=1)
    twins = np.flatnonzero((agree == 0) | (agree == 1))
    if len(twins):
        return Control(
            name=NAME,
            result="fail",
            statement=f"Shadow {twins[0]} was trained on exactly the target's members, or on "
            "exactly the others, so who trained on what gives the members away.",
            sensitivity="Any such shadow is seen.",
        )
    people = np.arange(len(members)) if subjects is None else subjects
    fit = refitted(_columns(trained_on), members[None], people, PERMUTATIONS, seed)
    found = auc(fit.claims[0], members, confidence)
    significant = fit.p_value <= ALPHA
    failed = significant and found.value >= LARGE
    said = (
        "Which shadows trained on a record gives away whether the target did, so an attack could "
        "find members without the model"
        if failed
        else "Which shadows trained on a record tells very little of whether the target did"
        if significant
        else "Which shadows trained on a record tells nothing of whether the target did"
    )
    return Control(
        name=NAME,
        result="fail" if failed else "warn" if significant else "pass",
        statement=f"{said}.",
        estimate=found,
        sensitivity=f"An AUC of about {0.5 + 3.17 * fit.spread:.3f} would have been seen in four "
        "cases out of five.",
    )


def _columns(trained_on: Bools) -> Singles:
    rows = trained_on.T.astype(np.float32)
    total = trained_on.sum(axis=0)
    blocks: list[AnyArray] = [rows, np.equal.outer(total, np.unique(total)[:PRODUCTS])]
    first, second = np.triu_indices(len(trained_on), 1)
    if len(first) <= PRODUCTS:
        blocks.append(rows[:, first] * rows[:, second])
    scaled = [standardised(np.asarray(block, np.float32)) for block in blocks]
    kept = [block / np.float32(np.sqrt(block.shape[1])) for block in scaled if block.shape[1]]
    if not kept:
        return np.zeros((len(rows), 1), np.float32)
    return np.asarray(np.hstack(kept) / np.sqrt(len(kept)), np.float32)
