"""Every attack does what every attack must do."""

import pytest
from leakpro_mia.plugin import leakpro_attacks

from leakpro_core.testing.conformance import ATTACK_CHECKS, check_light_import


@pytest.mark.parametrize("check", ATTACK_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("offer", leakpro_attacks(), ids=lambda offer: offer.name)
def test_attack_conforms(offer, check):
    check(offer)


def test_listing_imports_nothing_heavy():
    check_light_import("leakpro_mia.plugin")


def test_the_plugin_offers_the_attacks_of_its_readme():
    names = [offer.name for offer in leakpro_attacks()]
    assert names == [
        "loss",
        "population",
        "quantile",
        "ratio",
        "lira",
        "student",
        "combined",
        "stacked",
    ]
