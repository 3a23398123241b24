"""Every attack does what every attack must do."""

import pytest
from leakpro_sdv.plugin import leakpro_attacks

from leakpro_core.testing.conformance import ATTACK_CHECKS, check_light_import


@pytest.mark.parametrize("check", ATTACK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("offer", tuple(leakpro_attacks()), ids=lambda offer: offer.name)
def test_attack_conforms(offer, check):
    check(offer)


def test_listing_imports_nothing_heavy():
    check_light_import("leakpro_sdv.plugin")


def test_there_is_an_attack_of_every_game_on_tables():
    games = {offer.game for offer in leakpro_attacks()}
    assert games == {
        "singling-out", "linkability", "attribute-inference", "membership", "copies",
    }  # fmt: skip
