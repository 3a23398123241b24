"""A real audit by a peer, on its very outputs."""

from functools import cache

import membership_scores
import numpy as np
import pytest
from scipy.stats import spearmanr

from leakpro_core.statistics import auc

if not membership_scores.DATA.exists():
    pytest.skip(
        "the peer's audit lies in shared/reference, which is absent", allow_module_level=True
    )


@pytest.fixture(scope="module")
def claims():
    challenge = membership_scores.adult()
    return cache(lambda case: membership_scores.claims(case, challenge))


@pytest.fixture(scope="module")
def peer():
    with np.load(membership_scores.DATA) as file:
        return dict(file)


def test_ratio_has_the_peers_strength(claims, peer):
    scores = claims("ratio")
    at_one_percent = membership_scores.tpr_at(scores, peer["membership"], np.array([0.01]))
    assert auc(scores, peer["membership"]).value == pytest.approx(0.6404, abs=0.0002)
    assert at_one_percent[0] == pytest.approx(0.069, abs=0.001)


@pytest.mark.parametrize(
    ("case", "score", "least"),
    [
        ("ratio", "score_base_online", 0.9999),
        ("lira, as the peer", "score_lira_online", 0.99999),
        ("lira, offline, as the peer", "score_lira_offline", 0.99999),
    ],
)
def test_ranks_agree_with_the_peers(claims, peer, case, score, least):
    assert spearmanr(claims(case), peer[score])[0] > least


@pytest.mark.parametrize("case", ["combined", "stacked"])
@pytest.mark.parametrize("baseline", ["ratio", "ratio, temperature 1"])
def test_learned_scores_are_above_ratio(claims, peer, case, baseline):
    difference = membership_scores.paired_difference(
        claims(case),
        claims(baseline),
        peer["membership"],
        draws=1000,
    )
    assert difference.low > 0
