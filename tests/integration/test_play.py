"""Attacks cannot cheat by accident, and one that fails stops no other."""

import nosy
import numpy as np
import pytest
import structlog
from attrs import evolve

from leakpro_core.errors import NeedsBothSides
from leakpro_core.offers import Access, AttackOffer
from leakpro_core.plan import Adversary, ChosenAttack
from leakpro_core.play import play
from leakpro_core.plugins import Offered
from leakpro_core.records import Auxiliary, Population, Signals
from leakpro_core.scene import Cast, Scene, obstacle, scene
from leakpro_core.shadows import draw
from leakpro_core.view import Lens

N, AUX = 400, 60
LENS = Lens(Access.LOGITS)


def chosen(function: str, *, named: bool = True, **offer: object) -> ChosenAttack:
    made = AttackOffer(
        name="test", ref=f"nosy:{function}", game="membership", reference="none", **offer
    )
    return ChosenAttack(
        label="test",
        offered=Offered(offer=made, plugin="tests", version="1"),
        options=None,
        named=named,
    )


def cast(targets: int = 1) -> Cast:
    """A cast whose models know nothing; members come first, as careless files have them."""
    rng = np.random.default_rng(0)
    people = Population(
        labels=rng.integers(0, 2, N),
        subjects=np.arange(N),
        classes=2,
        records=rng.normal(size=(N, 3)),
        auxiliary=Auxiliary(labels=rng.integers(0, 2, AUX), records=rng.normal(size=(AUX, 3))),
    )
    design, _ = draw(people, targets=0, count=8, pool="candidates", seed=3)

    def signals(models: int) -> Signals:
        values = rng.normal(size=(models, N + AUX, 1))
        return Signals(margin=values, log_p={1.0: values})

    return Cast(
        population=people,
        members=np.tile(np.arange(N) < N // 2, (targets, 1)),
        released=None,
        targets={LENS: signals(targets)},
        shadows={LENS: signals(8)},
        trained_on=design.trained_on,
        pair=design.pair,
    )


def before(adversary: Adversary | None = None, **grants: object) -> Scene:
    options: dict[str, object] = {"placebos": 2, "curve": True} | grants
    return scene(
        cast(),
        adversary or Adversary(),
        blind=None,
        seed=11,
        log=structlog.wrap_logger(structlog.ReturnLogger()),
        **options,  # type: ignore[arg-type]
    )


def test_nothing_within_an_attacks_reach_tells_members_from_others() -> None:
    one = before(curve=False, placebos=0)
    play(one, chosen("look"))
    members = one.cast.members[0].astype(float)
    assert nosy.FOUND
    for values in nosy.FOUND:
        for axis in range(values.ndim):
            if values.shape[axis] != N:
                continue
            for row in np.moveaxis(values, axis, -1).reshape(-1, N):
                if row.std() > 0:
                    assert abs(np.corrcoef(row.astype(float), members)[0, 1]) < 0.25


def test_no_file_is_within_an_attacks_reach() -> None:
    play(before(curve=False, placebos=0), chosen("look"))
    assert [name for name in nosy.FILES if "leakpro" in name or "evidence" in name] == []


@pytest.mark.parametrize("cheat", ["by_position", "by_column_sums"])
def test_position_and_column_sums_are_worth_nothing(cheat: str) -> None:
    from leakpro_core.statistics import auc

    evidence = play(before(), chosen(cheat)).evidence
    assert evidence is not None
    found = auc(evidence.claim, evidence.exposed)
    assert found.low <= 0.5 <= found.high


def test_a_crash_is_a_failure_with_its_reason() -> None:
    played = play(before(), chosen("sulk"))
    assert (played.status, played.reason) == ("failed", "RuntimeError: no mood for attacking")


def test_a_short_answer_is_a_failure_that_names_both_shapes() -> None:
    played = play(before(), chosen("short"))
    assert played.reason == "answer of attack 'test': found shape (3,), expected (400,)"


def test_an_answer_of_no_type_is_a_failure() -> None:
    assert (
        play(before(), chosen("nothing")).reason
    ) == "TypeError: the attack returned NoneType, not a MembershipAnswer"


def test_every_target_is_a_cluster_of_its_own() -> None:
    evidence = play(
        Scene(
            cast=cast(targets=3),
            adversary=Adversary(),
            rows=np.arange(N),
            auxiliary=np.arange(AUX),
            placebos=np.zeros(0, int),
            curve=False,
            seed=1,
            log=structlog.wrap_logger(structlog.ReturnLogger()),
        ),
        chosen("by_position"),
    ).evidence
    assert evidence is not None
    assert np.unique(evidence.cluster).tolist() == [0, 1, 2]
    assert len(evidence.claim) == 3 * N


def test_the_curve_has_whole_pairs_of_shadows() -> None:
    played = play(before(), chosen("by_position", shadows=2))
    assert [models for models, _ in played.fewer] == [2, 4]


def test_placebos_are_claims_on_held_out_shadows() -> None:
    played = play(before(placebos=3), chosen("by_position", shadows=2))
    assert played.placebos is not None
    assert played.placebos.shape == (3, N)


def test_a_placebo_leaves_out_records_that_lack_a_side_without_it() -> None:
    one = before(placebos=1, curve=False)
    held_out = int(one.placebos[0])
    trained_on, pair = one.cast.trained_on.copy(), np.arange(8)
    trained_on[:, 5] = np.arange(8) == held_out
    lacking = evolve(one, cast=evolve(one.cast, trained_on=trained_on, pair=pair))
    played = play(lacking, chosen("both_sides", shadows=2))
    assert played.placebos is not None
    assert np.flatnonzero(np.isnan(played.placebos[0])).tolist() == [5]


def test_the_error_counts_the_records_that_lack_a_side() -> None:
    one = before(curve=False)
    trained_on = one.cast.trained_on.copy()
    trained_on[:, [3, 4, 9]] = False
    lacking = evolve(one, cast=evolve(one.cast, trained_on=trained_on))
    with pytest.raises(NeedsBothSides, match=r"record 3: .* no shadow of 8, and 2 more records"):
        play(lacking, chosen("both_sides", shadows=2))


@pytest.mark.parametrize(
    ("adversary", "offer", "reason"),
    [
        (Adversary(queries=1), {}, "reach 0 candidates, and not both members and non-members"),
        (Adversary(access=Access.LABELS), {}, "it needs access to logits"),
        (Adversary(), {"shadows": 9}, "it needs 9 shadow models, there are 8"),
        (Adversary(knows=()), {"shadows": 2}, "lacks architecture and recipe"),
        (Adversary(knows=()), {"needs": {"records"}}, "the adversary does not know"),
        (Adversary(knows=()), {"needs": {"auxiliary"}}, "the adversary does not know"),
        (Adversary(), {"modalities": {"image"}}, "it works on image records, not tabular"),
    ],
)
def test_an_attack_without_its_inputs_is_not_applicable(
    adversary: Adversary, offer: dict[str, object], reason: str
) -> None:
    found = obstacle(before(adversary), chosen("by_position", **offer))
    assert found is not None
    assert reason in found


def test_queries_beyond_the_budget_draw_fewer_candidates() -> None:
    one = before(Adversary(queries=230))
    assert (len(one.rows), len(one.auxiliary)) == (200, 30)
    evidence = play(one, chosen("by_position")).evidence
    assert evidence is not None
    assert len(evidence.claim) == 200


def test_playing_twice_gives_the_same_evidence() -> None:
    from leakpro_core.store import evidence_hash

    first, second = (play(before(), chosen("by_position")).evidence for _ in range(2))
    assert first is not None
    assert second is not None
    assert evidence_hash(first) == evidence_hash(second)
