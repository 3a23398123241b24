"""May this plugin run? Decided from metadata and files, before a line of it is imported."""

import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from datetime import date
from functools import partial

from attrs import evolve, field, frozen

from leakpro_core.vetting.digest import Contents, installed_contents, module_file, tree_digest
from leakpro_core.vetting.finder import Claim, imported_elsewhere, install, tops_of
from leakpro_core.vetting.hooks import entry_hooks
from leakpro_core.vetting.metadata import Found, Metadata, find, is_module, shared_tops
from leakpro_core.vetting.reasons import Problem, Reason, problem
from leakpro_core.vetting.registry import Approval, Mode, Registry

_TAKEN = frozenset({"leakpro_core", *sys.stdlib_module_names})
"""Top-level names that no plugin may answer for."""

Reporter = Callable[..., Problem]


@frozen(kw_only=True)
class Vetted:
    """A plugin and what speaks against it. claim: None where nothing was looked at (mode off)."""

    found: Found
    mode: Mode
    problems: tuple[Problem, ...] = ()
    approvals: tuple[Approval, ...] = ()
    claim: Claim | None = field(default=None, repr=False)

    @property
    def verified(self) -> bool:
        """Whether exactly what was approved will run."""
        return self.mode is not Mode.OFF and not self.problems

    @property
    def digest(self) -> str:
        """The digest of the files that were found; empty where nobody looked or none are known."""
        return tree_digest(self.claim.hashes) if self.claim and self.claim.hashes else ""

    @property
    def refused(self) -> bool:
        """Whether none of it may run."""
        return self.mode is Mode.ENFORCE and bool(self.problems)


def vet(registry: Registry, path: Sequence[str], today: date) -> tuple[Vetted, ...]:
    """Decide on each plugin found on ``path``, and guard the imports accordingly.

    From here on a verified plugin is importable from its verified bytes only, and one that was
    refused not at all, not even by another plugin.
    """
    found = find(path)
    if registry.mode is Mode.OFF:
        vetted = [Vetted(found=each, mode=Mode.OFF) for each in found]
    else:
        vetted = [_vet(each, registry, today) for each in found]
    names = [each.name for each in found]
    tops = {top for each in vetted for top in _tops(each)}
    shared = shared_tops(tops, [*path, *sys.path], names)
    vetted = _apart(vetted, shared)
    install(list(_claims(vetted, shared.keys())), names)
    return tuple(vetted)


def unapproved_hooks(
    metadata: Metadata, approvals: Iterable[Approval], hooks: Iterable[str]
) -> Iterator[Problem]:
    """Yield a problem for each hook that the plugin implements and an approval does not list."""
    for approval in approvals:
        for hook in sorted(set(hooks) - set(approval.hooks)):
            expected = ", ".join(approval.hooks) or "no hook"
            yield problem(metadata.name, metadata.version, Reason.HOOK, hook, expected=expected)


def _vet(found: Found, registry: Registry, today: date) -> Vetted:
    metadata = found.metadata
    report = partial(problem, metadata.name, metadata.version)
    contents = installed_contents(metadata, found.info)
    claim = Claim(
        distribution=metadata.name,
        version=metadata.version,
        site=found.info.parent,
        hashes=contents.hashes,
        tops=tops_of(contents.hashes),
    )
    approvals = [layer.approvals.get(metadata.name) for layer in registry.layers]
    problems = [report(reason, text) for reason, text in contents.flaws]
    if found.others:
        places = " and ".join(str(info) for info in (found.info, *found.others))
        problems.append(report(Reason.TWO_DISTRIBUTIONS, places))
    for layer, approval in zip(registry.layers, approvals, strict=True):
        if approval is None:
            problems.append(report(Reason.UNLISTED, f"no [plugin.{metadata.name}] in {layer.path}"))
        else:
            problems.extend(_against(approval, contents, today, report))
    known = tuple(approval for approval in approvals if approval is not None)
    if contents.hashes:
        problems.extend(_against_files(contents, claim, known, report))
    return Vetted(
        found=found,
        mode=registry.mode,
        problems=tuple(dict.fromkeys(problems)),
        approvals=known,
        claim=claim,
    )


def _against(
    approval: Approval, contents: Contents, today: date, report: Reporter
) -> Iterator[Problem]:
    """Yield where a plugin differs from what was approved."""
    metadata = contents.metadata
    if metadata.version != approval.version:
        yield report(Reason.VERSION, metadata.version, expected=approval.version)
    if approval.expires_on is not None and today > approval.expires_on:
        yield report(Reason.EXPIRED, f"expires_on = {approval.expires_on} on {today}")
    if metadata.entry_points != approval.entry_points:
        found, expected = map(_pairs, (metadata.entry_points, approval.entry_points))
        yield report(Reason.ENTRY_POINT, found, expected=expected)
    if not approval.sha256:
        yield report(Reason.NO_DIGEST, "sha256 is empty")
    elif contents.digest not in approval.sha256:
        expected = " or ".join(approval.sha256)
        yield report(Reason.DIGEST, contents.digest, expected=expected)


def _against_files(
    contents: Contents, claim: Claim, approvals: Sequence[Approval], report: Reporter
) -> Iterator[Problem]:
    """Yield what the files themselves show to be wrong."""
    metadata = contents.metadata
    for name, module in metadata.entry_points:
        if not is_module(module) or module_file(module, contents.hashes) is None:
            yield report(Reason.FOREIGN_MODULE, f"entry point {name} = {module}")
    for top in sorted(claim.tops & _TAKEN):
        yield report(Reason.FOREIGN_MODULE, f"files of its own in {top}")
    hooks = entry_hooks(contents)
    yield from unapproved_hooks(metadata, approvals, [hook.name for hook in hooks])
    yield from (report(Reason.WRAPPER, hook.name) for hook in hooks if hook.wrapper)
    other = imported_elsewhere(claim)
    if other is not None:
        yield report(Reason.IMPORTED, other)


def _tops(vetted: Vetted) -> set[str]:
    """Return the top-level names that a plugin ships or, where no files are known, points to."""
    if vetted.claim is None:
        return set()
    modules = (module for _, module in vetted.found.metadata.entry_points)
    return {*vetted.claim.tops, *(module.partition(".")[0] for module in modules)}


def _apart(vetted: Sequence[Vetted], shared: Mapping[str, set[str]]) -> list[Vetted]:
    """Add what only shows when distributions are compared: names that two of them use."""
    points = defaultdict(set)
    tops = defaultdict(set, {top: set(owners) for top, owners in shared.items()})
    for each in vetted:
        for point, _ in each.found.metadata.entry_points:
            points[point].add(each.found.name)
        for top in each.claim.tops if each.claim else ():
            tops[top].add(each.found.name)

    def more(each: Vetted) -> Iterator[Problem]:
        name, version = each.found.name, each.found.metadata.version
        for reason, used in ((Reason.TWO_ENTRY_POINTS, points), (Reason.FOREIGN_MODULE, tops)):
            for key, owners in sorted(used.items()):
                if name in owners and len(owners) > 1:
                    found = f"{key} in {' and '.join(sorted(owners))}"
                    yield problem(name, version, reason, found)

    return [evolve(each, problems=(*each.problems, *more(each))) for each in vetted]


def _claims(vetted: Iterable[Vetted], shared: Set[str]) -> Iterator[Claim]:
    """Yield what the finder must answer for: verified plugins, and refused ones with the reason.

    shared: names of other distributions too; a plugin that is refused must not take numpy with it.
    """
    free = set(_TAKEN)
    for each in sorted(vetted, key=lambda v: v.refused):
        if each.claim is None or not (each.verified or each.refused):
            continue
        tops = frozenset(_tops(each) - free)
        reason = str(each.problems[0].reason) if each.refused else ""
        yield evolve(each.claim, refusal=reason, tops=tops, shared=tops & shared)
        free |= tops


def _pairs(entry_points: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} = {module}" for name, module in entry_points) or "none"
