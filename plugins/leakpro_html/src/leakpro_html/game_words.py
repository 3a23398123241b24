"""How success games are told: what stands in headings and sentences about them."""

from collections.abc import Mapping

from attrs import field, frozen

POOLED = "All together"


@frozen(kw_only=True)
class Arms:
    """How the two arms of success games are told.

    exposed, control: headings, in two lines; unit: what is counted; for_exposed, for_control: for
    whom claims come true; others: whom the exposed are compared with; many: of whom so many are
    needed; distinct: what the count of them is called; exhibits: what the file of exhibits shows.
    """

    exposed: tuple[str, str] = ("People in", "the data")
    control: tuple[str, str] = ("Control", "people")
    unit: str = "people"
    for_exposed: str = "for people in the data"
    for_control: str = "for control people"
    others: str = "others"
    many: str = "people in the data"
    distinct: str = "Distinct people in the data about whom a claim came true"
    exhibits: str = "some claims that came true, each beside the person's row"


@frozen(kw_only=True)
class Claims:
    """How claims of one kind are told.

    "Of 1,000 ``many``, so many ``exposed``, and so many ``control``"; "of 100 ``many``, up to so
    many more could still ``could``".
    """

    many: str
    exposed: str
    control: str
    could: str


@frozen(kw_only=True)
class GameWords:
    """How a success game is told.

    claims: what the adversary makes many of; exposed, control: what a claim does that comes true
    in that arm, after "of 1,000 claims, so many"; facet: what claims are about; chart: the exposed
    arm in the key of a chart.
    facets: how each facet is told, where facets are kinds of claims and not what claims are about;
    what holds over all claims is then of the attack's first facet alone.
    """

    title: str
    question: str
    rule: str
    claims: str = "claims"
    exposed: str = "come true for people in the data"
    control: str = "for control people"
    facet: str = "facet"
    chart: str = "people in the data"
    facets: Mapping[str, Claims] = field(factory=dict)
