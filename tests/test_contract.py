"""What plugins rely on: hooks, offers, records. A change here breaks them, so it must be meant.

After a change that is meant: ``python tests/test_contract.py > tests/contract.txt``, and say in
the change log what authors of plugins must do.
"""

import inspect
from pathlib import Path
from types import ModuleType

import attrs

from leakpro_core import hookspecs, offers, records, report, work
from leakpro_core.games import gradient_inversion, membership, update_membership

INTERNAL = {"Secret", "Stage", "Vetting"}
"""Records of these modules that no plugin sees."""


def contract() -> str:
    lines = [f"{name}{inspect.signature(getattr(hookspecs, name))}" for name in hookspecs.HOOKS]
    games = (membership, gradient_inversion, update_membership)
    for module in (offers, records, *games, report, work):
        lines += ["", f"# {module.__name__}", *fields(module)]
    return "\n".join(lines) + "\n"


def fields(module: ModuleType) -> list[str]:
    kinds = [k for k in vars(module).values() if inspect.isclass(k) and attrs.has(k)]
    own = [k for k in kinds if k.__module__ == module.__name__ and k.__name__ not in INTERNAL]
    return [
        f"{kind.__name__}: "
        + ", ".join(
            a.name + ("" if a.default is attrs.NOTHING else "?") for a in attrs.fields(kind)
        )
        for kind in own
    ]


def test_hooks_offers_and_records_are_those_that_plugins_rely_on():
    snapshot = Path(__file__).with_name("contract.txt").read_text()
    assert snapshot == contract()


if __name__ == "__main__":
    print(contract(), end="")  # noqa: T201
