"""What the plugin offers, without importing jax."""

import subprocess
import sys

from leakpro_core.references import resolve
from leakpro_core.testing.conformance import check_light_import


def test_offers_import_nothing_heavy():
    check_light_import("leakpro_jax.plugin")


def test_options_import_no_jax():
    code = "import sys, leakpro_jax.options; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_every_reference_leads_somewhere():
    from leakpro_jax.plugin import leakpro_shadow_trainers, leakpro_target_loaders

    (trainer,) = leakpro_shadow_trainers()
    (loader,) = leakpro_target_loaders()
    assert all(callable(resolve(ref)) for ref in (trainer.ref, trainer.trial, loader.ref))
    assert all(isinstance(resolve(offer.options), type) for offer in (trainer, loader))
