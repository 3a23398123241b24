"""What a referee of a table game returns: evidence, what its rounds are about, and exhibits."""

import numpy as np
from attrs import field, frozen, validators

from leakpro_core.arrays import AnyArray, Bools, Ints, array
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
class Matched:
    """Whom claims that are tried on both arms meet, among equally many people of each arm.

    The people of the larger arm are drawn, so that people of both arms can be exchanged for one
    another where there is no leak. Claim i (``evidence.round``) meets the people
    ``person[start[i]:start[i + 1]]``: start int64 ``[claims + 1]``, person int64 ``[meetings]``;
    exposed, tenth: bool ``[people]``, their arm, and whether they are of the most vulnerable tenth.
    rule: in an arm a claim comes true where it meets exactly "one" person of it, or "any".
    """

    start: Ints = array(np.int64)
    person: Ints = array(np.int64)
    exposed: Bools = array(np.bool_)
    tenth: Bools = array(np.bool_)
    rule: str = field(validator=validators.in_(("one", "any")))


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
    tenth: a round, whether its person is among the most vulnerable tenth, or the chance of it
    where it is one of several (float64, 0 to 1); None: not known.
    matched: whom claims meet, where paired; what may be called a leak rests on it.
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
    tenth: AnyArray | None = array(np.float64, optional=True)
    matched: Matched | None = None
