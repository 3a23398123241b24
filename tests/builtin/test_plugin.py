import subprocess
import sys

import attrs
import pytest

from leakpro_core.builtin import plugin
from leakpro_core.builtin.trained import TrainedOptions, load
from leakpro_core.offers import Offer
from leakpro_core.records import Release
from leakpro_core.references import resolve

OFFERS = [
    *plugin.leakpro_target_loaders(),
    *plugin.leakpro_reporters(),
    *plugin.leakpro_executors(),
]


@pytest.mark.parametrize("offer", OFFERS, ids=lambda offer: offer.name)
def test_what_is_offered_is_there(offer: Offer) -> None:
    assert callable(resolve(offer.ref))
    if offer.options is not None:
        options = resolve(offer.options)
        assert attrs.has(options)
        assert options.__doc__


def test_offering_imports_nothing_heavy() -> None:
    code = "import sys, leakpro_core.builtin.plugin; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert not {"numpy", "scipy", "pandas", "pyarrow", "torch", "rich"} & set(done.stdout.split())


def test_a_trained_target_is_left_to_core() -> None:
    expected = Release(target=None, targets=3)

    assert expected == load(TrainedOptions(targets=3), run=None)
