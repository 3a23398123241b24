"""Hypothesis strategies for challenges; needs hypothesis, which core does not depend on."""

from hypothesis import strategies as st

from leakpro_core.games.membership import MembershipChallenge, Secret
from leakpro_core.offers import AttackOffer
from leakpro_core.testing.conformance import challenge_for


@st.composite
def membership_challenges(
    draw: st.DrawFn, offer: AttackOffer, *, least: int = 20
) -> tuple[MembershipChallenge, Secret]:
    """Draw simulated challenges that the attack of ``offer`` can be given, and their secrets.

    least: fewest candidates. From no leak to a plain one, from all outputs equal to saturated.
    """
    return challenge_for(
        offer,
        draw(st.integers(0, 2**32 - 1)),
        records=draw(st.integers(least, 10 * least)),
        pairs=draw(st.integers(max(1, -(-offer.shadows // 2)), 8)),
        classes=draw(st.integers(2, 12)),
        queries=draw(st.integers(1, 3)),
        leak=draw(st.sampled_from([0.0, 1.0, 5.0])),
        spread=draw(st.sampled_from([0.0, 0.1, 1.0, 30.0])),
    )
