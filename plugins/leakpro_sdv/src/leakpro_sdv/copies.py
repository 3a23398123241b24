"""Which released rows repeat a person's: those that look like people, and are rare by chance."""

import numpy as np

from leakpro_core.games.copies import CopiesAnswer, CopiesChallenge
from leakpro_core.protocols import Run
from leakpro_core.tabular.table import Kind
from leakpro_sdv.pooled import axis, hashes, likeness, originals

_NEGLIGIBLE = 0.01
"""Below so many rows that are expected to be like it by chance, a row is as rare as any."""


def attack(challenge: CopiesChallenge, options: None, run: Run) -> CopiesAnswer:
    """Claim every released row.

    A copy of a person's row follows the people's distribution and not the generator's: rows are
    the surer the likelier their values are among auxiliary rows than among released ones, column
    by column, and the oftener they are released. A row that many may hold by chance is repeated
    by a table that copies nobody, too: surer is also what fewer rows were expected to be like, if
    columns were independent.
    """
    rows = len(challenge.synthetic)
    alike, expected = np.zeros(rows), np.full(rows, np.log(max(rows, 1)))
    hashed = np.zeros(rows, np.uint64)
    for number, column in enumerate(challenge.synthetic.columns):
        if column.kind is Kind.IDENTIFIER:
            continue
        # One column is held at a time: a release may have millions of rows.
        one = axis(challenge.synthetic, challenge.auxiliary, number)
        alike += likeness(one)[one.codes[:rows]]
        expected += np.log(one.chance)[one.codes[:rows]]
        hashed += hashes(one, rows)
    first = originals(hashed)
    alike += np.log(np.bincount(first)[first])
    claims = alike - np.maximum(expected, np.log(_NEGLIGIBLE))
    return CopiesAnswer(rows=np.arange(rows), claims=claims)
