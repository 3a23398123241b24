"""The membership game gives away nothing but what it grants."""

import numpy as np
import pytest

from leakpro_core.errors import WrongAnswer
from leakpro_core.games.membership import MembershipAnswer, Stage, challenge, referee
from leakpro_core.records import Population, Signals


def stage(n: int = 50, models: int = 4) -> Stage:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n)

    def signals(*shape: int) -> Signals:
        values = rng.normal(size=(*shape, 1))
        return Signals(margin=values, log_p={1.0: values})

    half = rng.random(n) < 0.5
    return Stage(
        population=Population(
            labels=labels, subjects=np.arange(n) // 2, classes=3, records=rng.normal(size=(n, 2))
        ),
        members=half,
        target=signals(n),
        shadows=signals(models, n),
        trained_on=np.stack([half if k % 2 else ~half for k in range(models)]),
        pair=np.arange(models) // 2,
    )


def test_rows_of_a_challenge_belong_together() -> None:
    played = stage()
    drawn, secret = challenge(played, np.arange(50), seed=1, records=True)
    np.testing.assert_array_equal(played.target.margin[secret.order], drawn.target.margin)
    np.testing.assert_array_equal(played.shadows.margin[:, secret.order], drawn.shadows.margin)
    np.testing.assert_array_equal(played.trained_on[:, secret.order], drawn.trained_on)
    np.testing.assert_array_equal(played.members[secret.order], secret.members)


def test_candidates_are_fresh_copies() -> None:
    played = stage()
    drawn, _ = challenge(played, np.arange(50), seed=1, records=True)
    assert drawn.records is not None
    assert played.population.records is not None
    assert not np.shares_memory(drawn.records, played.population.records)
    assert not np.shares_memory(drawn.target.margin, played.target.margin)


def test_records_are_withheld_from_whoever_does_not_know_them() -> None:
    drawn, _ = challenge(stage(), np.arange(50), seed=1, records=False)
    assert drawn.records is None


def test_the_order_is_secret_and_ids_do_not_give_it_away() -> None:
    drawn, secret = challenge(stage(), np.arange(50), seed=1, records=False)
    assert sorted(drawn.ids) == list(range(50))
    assert abs(np.corrcoef(drawn.ids, secret.order)[0, 1]) < 0.4


def test_evidence_comes_back_in_the_populations_order() -> None:
    played = stage()
    _, secret = challenge(played, np.arange(50), seed=1, records=False)
    claims = played.target.margin[secret.order, 0].astype(float)
    evidence = referee(
        MembershipAnswer(claims=claims), secret, blind=None, cluster=3, attack="loss"
    )
    np.testing.assert_array_equal(played.target.margin[:, 0], evidence.claim)
    np.testing.assert_array_equal(played.members, evidence.exposed)
    np.testing.assert_array_equal(np.full(50, 3), evidence.cluster)
    assert np.isnan(evidence.blind_claim).all()


def test_a_subset_of_rows_keeps_its_blind_claims() -> None:
    played, rows = stage(), np.array([3, 10, 40])
    _, secret = challenge(played, rows, seed=1, records=False)
    evidence = referee(
        MembershipAnswer(claims=np.zeros(3)),
        secret,
        blind=np.arange(50.0),
        cluster=0,
        attack="loss",
    )
    np.testing.assert_array_equal(rows, evidence.blind_claim)


@pytest.mark.parametrize("claims", [np.zeros(49), np.zeros((50, 1)), np.full(50, np.inf)])
def test_an_answer_of_another_kind_is_refused(claims: np.ndarray) -> None:
    _, secret = challenge(stage(), np.arange(50), seed=1, records=False)
    with pytest.raises(WrongAnswer, match="attack 'loss'"):
        referee(MembershipAnswer(claims=claims), secret, blind=None, cluster=0, attack="loss")


def test_abstaining_is_allowed() -> None:
    _, secret = challenge(stage(), np.arange(50), seed=1, records=False)
    answer = MembershipAnswer(claims=np.full(50, np.nan))
    assert np.isnan(referee(answer, secret, blind=None, cluster=0, attack="x").claim).all()
