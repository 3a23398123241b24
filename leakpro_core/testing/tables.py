"""Table games made up from a known truth, played by the same code as in an audit."""

from collections.abc import Callable

import numpy as np
from attrs import evolve, frozen

from leakpro_core.errors import WrongAnswer
from leakpro_core.games import attribute_inference, copies, linkability, samples, singling_out
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.games.outcome import Refereed
from leakpro_core.games.samples import TableStage
from leakpro_core.offers import AttackOffer
from leakpro_core.tabular.secrets import halves, secrets
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix, stacked
from leakpro_core.testing.runs import ask

_COLUMNS: tuple[Column, ...] = (
    Column(name="balance", kind=Kind.NUMERIC),
    Column(name="visits", kind=Kind.NUMERIC, integer=True),
    Column(name="day", kind=Kind.DATETIME),
    Column(name="town", kind=Kind.CATEGORICAL, levels=("Alta", "L'Aquila", "O'Fallon", "Rome")),
    Column(name="insured", kind=Kind.BOOLEAN, levels=("False", "True")),
    Column(name="number", kind=Kind.IDENTIFIER, levels=tuple(map(str, range(1000)))),
)
_CODED = ("town", "insured")

SHAPES = ("plain", "missing", "tied", "constant", "equal", "few")
"""Tables that are asked for: as they are; half of all values missing; a handful of different rows;
with columns of one value, and of none; all rows alike; three released rows."""


@frozen(kw_only=True)
class Outcome:
    """How an attack fared. refereed: as core has it; answer: what the attack said, the last one."""

    refereed: Refereed
    answer: object

    @property
    def gain(self) -> float:
        """What the release is worth: 0 for nothing, up to 1.

        Hits about people in the data less those about others; of membership 2 AUC - 1.
        """
        e = self.refereed.evidence
        made = ~np.isnan(e.claim)
        inside, outside = made & e.exposed, made & ~e.exposed
        if not (inside.any() and outside.any()):
            return 0.0
        if np.isnan(e.hit).all():
            a, b = e.claim[inside, None], e.claim[outside]
            return float(np.sign(a - b).mean())
        return float(e.hit[inside].mean() - e.hit[outside].mean())


def simulated_stage(
    seed: int,
    *,
    people: int = 120,
    leak: float = 0.5,
    shape: str = "plain",
    auxiliary: bool = True,
    pairs: int = 0,
    rounds: int = 100,
) -> TableStage:
    """Return people in the data and as many others, auxiliary rows, and a release.

    leak: share of the released rows that are rows of people in the data, verbatim; the others are
    fresh rows of the same distribution. shape: one of ``SHAPES``. pairs: of shadow generators,
    which release in the same way what they were fitted on: complementary halves of the people.
    """
    rng = np.random.default_rng(seed)
    both = _people(2 * people, rng, shape, first=0)
    members = np.arange(2 * people) < people
    fitted = [members]
    for _ in range(pairs):
        half = rng.permutation(2 * people) < people
        fitted += [half, ~half]
    released = [_release(both.rows(on), leak, rng, shape) for on in fitted]
    tenth = rng.random(2 * people) < 0.1
    return TableStage(
        released=released[0].rows(np.arange(3)) if shape == "few" else released[0],
        original=both.rows(members),
        control=both.rows(~members),
        auxiliary=_people(people, rng, shape, first=2 * people) if auxiliary else None,
        tenth_original=tenth[members],
        tenth_control=tenth[~members],
        rounds=rounds,
        shadows=tuple(released[1:]),
        trained_on=np.array(fitted[1:], np.bool_).reshape(2 * pairs, 2 * people),
        pair=np.repeat(np.arange(pairs), 2),
    )


def _people(n: int, rng: np.random.Generator, shape: str, first: int) -> Table:
    # One trait stands behind all columns, so that they tell of each other.
    trait = rng.normal(size=(n, 1)) + 0.7 * rng.normal(size=(n, 5))
    if shape == "tied":
        trait = np.round(trait / 2)
    if shape == "equal":
        trait = np.zeros((n, 5))
    values = np.column_stack(
        [
            1000.0 * trait[:, 0],
            np.round(5 * trait[:, 1]),
            86_400.0 * np.round(15_000 + 300 * trait[:, 2]),
            np.clip(np.round(1.5 + trait[:, 3]), 0, 3),
            trait[:, 4] > 0,
            (first + np.arange(n)) % 1000,
        ]
    )
    if shape == "missing":
        values[:, :5][rng.random((n, 5)) < 0.5] = np.nan
    columns = _COLUMNS
    if shape == "constant":
        columns += (
            Column(name="same", kind=Kind.NUMERIC),
            Column(name="unset", kind=Kind.DATETIME),
            Column(name="all", kind=Kind.CATEGORICAL, levels=("yes",)),
            Column(name="none", kind=Kind.CATEGORICAL, levels=("yes",)),
        )
        values = np.column_stack([values, np.tile([3.5, np.nan, 0.0, np.nan], (n, 1))])
    return from_matrix(columns, values, first + np.arange(n))


def _release(fitted: Table, leak: float, rng: np.random.Generator, shape: str) -> Table:
    n = len(fitted)
    copied = rng.permutation(n)[: round(leak * n)]
    rows = stacked([fitted.rows(copied), _people(n - len(copied), rng, shape, first=0)])
    return evolve(rows.rows(rng.permutation(n)), subjects=np.arange(n))


# Played as core plays.


def outcome(offer: AttackOffer, stage: TableStage, *, seed: int = 0, drawn: int = 0) -> Outcome:
    """Let the attack answer a challenge of its game on that stage, and compare with the secret.

    seed: the attack's; drawn: of the challenge, by which people and their order are drawn. Columns
    are inferred one of numbers and one of codes, where there are. ``AssertionError`` for an answer
    that the game has no use for.
    """
    try:
        return _GAMES[offer.game](offer, stage, seed, drawn)
    except WrongAnswer as error:
        raise AssertionError(str(error)) from error


def plays(offer: AttackOffer, stage: TableStage) -> bool:
    """Return whether the stage has something that can be asked about in the offer's game."""
    if offer.game == "attribute-inference":
        return bool(_inferred(stage))
    return True


def _inferred(stage: TableStage) -> list[str]:
    names = secrets(stage.original, stage.control, ())
    found = [[n for n in names if (n in _CODED) is coded][:1] for coded in (False, True)]
    return [name for kind in found for name in kind]


def _membership(offer: AttackOffer, stage: TableStage, seed: int, drawn: int) -> Outcome:
    given, secret = samples.challenge(stage, drawn)
    answer = ask(offer, given, MembershipAnswer, seed=seed)
    refereed = samples.referee(answer, secret, blind=None, attack=offer.name)
    return Outcome(refereed=refereed, answer=answer)


def _singling_out(offer: AttackOffer, stage: TableStage, seed: int, drawn: int) -> Outcome:
    given = singling_out.challenge(stage)
    answer = ask(offer, given, singling_out.SinglingOutAnswer, seed=seed)
    refereed = singling_out.referee(answer, stage, None, attack=offer.name)
    return Outcome(refereed=refereed, answer=answer)


def _copies(offer: AttackOffer, stage: TableStage, seed: int, drawn: int) -> Outcome:
    answer = ask(offer, copies.challenge(stage), copies.CopiesAnswer, seed=seed)
    refereed = copies.referee(answer, stage, None, attack=offer.name, seed=drawn)
    return Outcome(refereed=refereed, answer=answer)


def _linkability(offer: AttackOffer, stage: TableStage, seed: int, drawn: int) -> Outcome:
    given, secret = linkability.challenge(stage, halves(stage.original, ()), drawn)
    answer = ask(offer, given, linkability.LinkabilityAnswer, seed=seed)
    refereed = linkability.referee(answer, secret, None, attack=offer.name)
    return Outcome(refereed=refereed, answer=answer)


def _attribute_inference(offer: AttackOffer, stage: TableStage, seed: int, drawn: int) -> Outcome:
    parts: list[Refereed] = []
    answer = None
    for name in _inferred(stage):
        given, secret = attribute_inference.challenge(stage, name, 0.05, drawn)
        answer = ask(offer, given, attribute_inference.AttributeAnswer, seed=seed)
        parts.append(attribute_inference.referee(answer, secret, None, attack=offer.name))
    return Outcome(refereed=attribute_inference.together(parts), answer=answer)


_GAMES: dict[str, Callable[[AttackOffer, TableStage, int, int], Outcome]] = {
    "membership": _membership,
    "singling-out": _singling_out,
    "copies": _copies,
    "linkability": _linkability,
    "attribute-inference": _attribute_inference,
}
