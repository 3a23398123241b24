"""What a run depends on, in words and hashes: the content of plan.json."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import attrs

from leakpro_core.loading import BUILTIN
from leakpro_core.plan import Plan
from leakpro_core.plugins import PluginSet
from leakpro_core.references import ImportPath


def describe(plan: Plan, plugins: PluginSet) -> dict[str, object]:
    """Return the resolved plan with the hashes of all its inputs.

    ``sha256`` is over the plan, the files that it names, the user's modules, the libraries'
    versions, and the plugins' versions, digests and what vetting said of them: a run folder
    belongs to one such hash, and no audit goes on with what another build of a plugin or library,
    or one not yet approved, has computed.
    """
    inputs = {str(path): _hash(path) for path in sorted(set(_files(plan)))}
    used = plugins_of(plan) | {BUILTIN}
    builds = [
        (p.name, p.version, p.status.value, p.digest) for p in plugins.plugins if p.name in used
    ]
    identity = hashlib.sha256(plan.sha256.encode())
    for name, digest in inputs.items():
        identity.update(f"{Path(name).name} {digest}\n".encode())
    versions = libraries(plan)
    for build in (*builds, *versions):
        identity.update(f"{' '.join(build)}\n".encode())
    return {
        "sha256": identity.hexdigest(),
        "plan": plan.path.name,
        "plan_sha256": plan.sha256,
        "name": plan.name,
        "seed": plan.seed,
        "inputs": inputs,
        "plugins": [list(build) for build in builds],
        "versions": dict(versions),
        "registry": None if plugins.registry.path is None else str(plugins.registry.path.resolve()),
        "target": {"loader": plan.loader.offered.offer.name, "options": repr(plan.loader.options)},
        "data": repr(plan.data),
        "adversaries": [repr(a) for a in plan.adversaries],
        "shadows": None
        if plan.shadows is None
        else {
            "trainer": plan.shadows.offered.offer.name,
            "count": plan.shadows.count,
            "pool": plan.shadows.pool,
            "options": repr(plan.shadows.options),
        },
        "attacks": [
            {"label": a.label, "attack": a.offered.offer.name, "options": repr(a.options)}
            for a in plan.attacks
        ],
        "policy": repr(plan.policy),
        "controls": repr(plan.controls),
        "games": repr(plan.games),
        "execution": {
            "executor": plan.executor.offered.offer.name,
            "options": repr(plan.executor.options),
        },
    }


def plugins_of(plan: Plan) -> set[str]:
    """Return the distributions whose code makes the evidence of a run."""
    used = {plan.loader.offered.plugin, plan.executor.offered.plugin}
    if plan.shadows is not None:
        used.add(plan.shadows.offered.plugin)
    return used | {attack.offered.plugin for attack in plan.attacks}


def libraries(plan: Plan) -> tuple[tuple[str, str], ...]:
    """Return name and version of the libraries whose arithmetic is in the evidence of a run.

    Those that core computes with, what the plugins that the plan uses require themselves, and what
    their extras require where these are installed.
    """
    names = {"numpy", "scipy", "scikit-learn"}
    for plugin in plugins_of(plan) - {BUILTIN}:
        plain, extra = _needs(plugin)
        # What an extra brings (SDV, say) computes through libraries of its own, these of theirs.
        first = {name for one in extra for name in _needs(one)[0]}
        names |= plain | extra | first | {name for one in first for name in _needs(one)[0]}
    found = []
    for name in sorted(names):
        if not name.startswith("leakpro"):
            with suppress(PackageNotFoundError):
                found.append((name, version(name)))
    return tuple(found)


def _needs(distribution: str) -> tuple[set[str], set[str]]:
    """Return names of what a distribution requires, and of what its extras do."""
    plain: set[str] = set()
    extra: set[str] = set()
    with suppress(PackageNotFoundError):
        for need in requires(distribution) or ():
            name = re.split(r"[^\w.-]", need, maxsplit=1)[0]
            (extra if "extra ==" in need else plain).add(name)
    return plain, extra


def _files(value: object) -> Iterator[Path]:
    """Yield every file that the plan names, the user's modules included."""
    if isinstance(value, Path):
        if value.is_file():
            yield value
    elif isinstance(value, str):
        # [data] takes names of arrays and npy files alike.
        if value.endswith(".npy"):
            yield from _files(Path(value))
    elif isinstance(value, ImportPath):
        if value.file is not None:
            # Its neighbours can be imported by it, so they count too.
            packages = {p.parent for p in value.folder.glob("*/__init__.py")}
            packages |= {value.folder / value.ref.partition(".")[0]}
            yield from value.folder.glob("*.py")
            for package in packages:
                yield from package.rglob("*.py")
    elif isinstance(value, tuple):
        for item in value:
            yield from _files(item)
    elif attrs.has(type(value)):
        for attribute in attrs.fields(type(value)):  # type: ignore[arg-type]
            yield from _files(getattr(value, attribute.name))


def _hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
