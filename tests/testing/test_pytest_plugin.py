"""The pytest plugin is part of every run in the environment, so it must not be felt."""

import subprocess
import sys

from leakpro_core.testing.conformance import HEAVY


def test_it_imports_nothing_heavy():
    code = (
        "import sys, leakpro_core.testing.pytest_plugin;"
        f"print(*[m for m in {(*HEAVY, 'leakpro_core.plugins')!r} if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
