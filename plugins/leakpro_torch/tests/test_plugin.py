"""What the plugin offers, without importing torch."""

import subprocess
import sys

from leakpro_core.references import resolve
from leakpro_core.testing.conformance import check_light_import


def test_offers_import_nothing_heavy():
    check_light_import("leakpro_torch.plugin")


def test_options_import_no_torch():
    code = "import sys, leakpro_torch.options; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_reference_leads_somewhere():
    from leakpro_torch.plugin import leakpro_shadow_trainers, leakpro_target_loaders

    for offer in [*leakpro_target_loaders(), *leakpro_shadow_trainers()]:
        assert callable(resolve(offer.ref))
        assert isinstance(resolve(offer.options), type)
    (trainer,) = leakpro_shadow_trainers()
    assert callable(resolve(trainer.trial))
