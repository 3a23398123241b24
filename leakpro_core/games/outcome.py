"""What a referee of a table game returns: evidence, what its rounds are about, and exhibits."""

import numpy as np
from attrs import frozen

from leakpro_core.arrays import Bools, array
from leakpro_core.records import Evidence


@frozen(kw_only=True)
class Exhibit:
    """One claim that came true about a person in the training data. Personal data.

    claim: what the adversary said; truth: names and values of the person's row; sure: the claim's
    number; facet: what the round was about.
    """

    claim: str
    truth: tuple[tuple[str, str], ...]
    subject: int
    sure: float
    facet: str


@frozen(kw_only=True)
class Refereed:
    """One attack as one adversary, compared with the secret.

    facets: names of what rounds are about; ``evidence.facet`` counts in them.
    paired: each round stands in both arms (equal ``evidence.round``), one claim tried on both.
    nested: each facet asks about the same claims once more (copies: exact, near); all claims
    together are those of the first facet.
    scale: factor from a rate of rounds to the risk that is told (equal n, see ``copies``).
    made: claims that were made of ``asked`` that were wanted; notes: sentences for the report
    (predicates that were too heavy, say).
    tenth: bool a round, its person is among the most vulnerable tenth; None: not known.
    """

    evidence: Evidence
    facets: tuple[str, ...]
    paired: bool = False
    nested: bool = False
    scale: float = 1.0
    asked: int = 0
    made: int = 0
    notes: tuple[str, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()
    tenth: Bools | None = array(np.bool_, optional=True)
