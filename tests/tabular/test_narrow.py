"""An adversary knows the levels that stand in what it is handed, and no others."""

import numpy as np

from leakpro_core.games.attribute_inference import AttributeAnswer, AttributeChallenge
from leakpro_core.games.singling_out import (
    Predicate,
    SinglingOutAnswer,
    SinglingOutChallenge,
    Term,
)
from leakpro_core.tabular.narrow import narrowed
from leakpro_core.tabular.table import Column, Kind, Table

JOB = Column(name="job", kind=Kind.CATEGORICAL, levels=("baker", "king", "smith", "spy"))
AGE = Column(name="age", kind=Kind.NUMERIC)


def table(jobs: list[int]) -> Table:
    return Table(
        columns=(AGE, JOB),
        values=(np.arange(len(jobs), dtype=np.float64), np.array(jobs)),
        subjects=np.arange(len(jobs)),
    )


def challenge(jobs: list[int], others: list[int]) -> SinglingOutChallenge:
    return SinglingOutChallenge(
        synthetic=table(jobs), auxiliary=table(others), people=10, guesses=10
    )


def test_levels_of_the_original_alone_are_not_seen():
    seen, _ = narrowed(challenge([0, 2, -1], [2, 2]))
    assert seen.synthetic.columns[1].levels == ("baker", "smith")
    assert seen.auxiliary.columns[1].levels == ("baker", "smith")
    assert seen.synthetic.values[1].tolist() == [0, 1, -1]
    assert seen.auxiliary.values[1].tolist() == [1, 1]


def test_rows_read_the_same():
    asked = challenge([0, 2, -1], [2, 3])
    seen, _ = narrowed(asked)
    assert asked.synthetic.shown(1) == seen.synthetic.shown(1)
    assert asked.synthetic.shown(2) == seen.synthetic.shown(2)


def test_codes_of_predicates_are_taken_back():
    asked = challenge([1, 3], [3])
    _, codes = narrowed(asked)
    terms = (Term(0, 1.0, 2.0), Term(1, 0.0, 1.0))
    answer = SinglingOutAnswer(
        predicates=(Predicate(terms), Predicate((Term(1, values=(1, -1)),))), claims=np.zeros(2)
    )
    back = codes.back(answer, asked)
    assert (Term(0, 1.0, 2.0), Term(1, 1.0, 3.0)) == back.predicates[0].terms
    assert back.predicates[1].terms[0].values == (3, -1)


def test_a_code_that_it_does_not_know_stays_no_code():
    asked = challenge([1, 3], [3])
    _, codes = narrowed(asked)
    predicate = Predicate((Term(1, 2.0, 2.0),))
    answer = SinglingOutAnswer(predicates=(predicate,), claims=np.zeros(1))
    assert codes.back(answer, asked).predicates[0].terms[0].low == -2.0


def test_guesses_of_a_secret_are_taken_back():
    whole = table([1, 3, 3])
    asked = AttributeChallenge(
        known=whole.only(["age"]), secret=JOB, tolerance=0.0, synthetic=whole, auxiliary=None
    )
    seen, codes = narrowed(asked)
    assert seen.secret.levels == ("king", "spy")
    answer = AttributeAnswer(guesses=np.array([0.0, 1.0, np.nan]), claims=np.zeros(3))
    assert codes.back(answer, asked).guesses[:2].tolist() == [1.0, 3.0]
    wrong = AttributeAnswer(guesses=np.array([2.0, 0.5, 0.0]), claims=np.zeros(3))
    assert codes.back(wrong, asked).guesses.tolist() == [-2.0, -2.0, 1.0]
