"""Why a plugin was refused or is broken: one constant, one expectation and one fix for each."""

from enum import StrEnum

from attrs import frozen

from leakpro_core.errors import PluginRefused


class Reason(StrEnum):
    """Each refusal of vetting, then each way for a plugin to be broken."""

    UNLISTED = "not listed in the registry"
    NO_DIGEST = "no digest in the registry"
    VERSION = "wrong version"
    EXPIRED = "approval expired"
    DIGEST = "files differ from what was approved"
    ENTRY_POINT = "entry point moved"
    FOREIGN_MODULE = "module of another distribution"
    EDITABLE = "editable install"
    NO_RECORD = "no usable RECORD"
    PTH = "ships a .pth file"
    DATA = "ships .data/ files"
    SYMLINK = "symbolic link"
    TWO_DISTRIBUTIONS = "two distributions of one name"
    TWO_ENTRY_POINTS = "one entry-point name from two distributions"
    HOOK = "hook not approved"
    WRAPPER = "hook wrapper"
    IMPORTED = "module already imported by another loader"

    RAISES = "raises on import"
    HOOK_RAISES = "a hook raises"
    UNKNOWN_HOOK = "unknown hook"
    SIGNATURE = "hook declared wrongly"
    NOT_OFFERS = "a hook returns something else than offers"
    DUPLICATE = "duplicate name"


EXPECTED = {
    Reason.UNLISTED: "a [plugin] table of this name",
    Reason.NO_DIGEST: "the digest of an approved build",
    Reason.VERSION: "the approved version",
    Reason.EXPIRED: "an approval that still holds",
    Reason.DIGEST: "the files of an approved build",
    Reason.ENTRY_POINT: "the approved entry points",
    Reason.FOREIGN_MODULE: "only modules that this distribution ships itself",
    Reason.EDITABLE: "files installed from a wheel",
    Reason.NO_RECORD: "a RECORD that lists the installed files",
    Reason.PTH: "no .pth file: it runs code whenever Python starts",
    Reason.DATA: "files inside site-packages only",
    Reason.SYMLINK: "regular files",
    Reason.TWO_DISTRIBUTIONS: "one installed distribution of this name",
    Reason.TWO_ENTRY_POINTS: "entry-point names that are used once",
    Reason.HOOK: "approved hooks only",
    Reason.WRAPPER: "plain hooks: a wrapper could change what other plugins offer",
    Reason.IMPORTED: "to be the first to import it",
    Reason.RAISES: "a plugin module that imports leakpro_core only",
    Reason.HOOK_RAISES: "offers",
    Reason.UNKNOWN_HOOK: "a hook of LeakPro",
    Reason.SIGNATURE: "a plain function without arguments",
    Reason.NOT_OFFERS: "offers of the hook's own kind",
    Reason.DUPLICATE: "a name that one plugin offers",
}
"""What should have been there; where it depends on the registry, vetting says it exactly."""

FIXES = {
    Reason.UNLISTED: "Review the wheel, then add what `leakpro plugins pin X.whl` prints.",
    Reason.NO_DIGEST: "Add the sha256 that `leakpro plugins pin X.whl` prints.",
    Reason.VERSION: "Install the approved version, or review and approve this one.",
    Reason.EXPIRED: "Review it again and renew expires_on.",
    Reason.DIGEST: "Reinstall the approved wheel; if it was changed on purpose, approve it anew.",
    Reason.ENTRY_POINT: "Reinstall the approved wheel, or review and approve the new entry points.",
    Reason.FOREIGN_MODULE: "Ask its author to ship the module, under a package name of its own.",
    Reason.EDITABLE: "Build a wheel, approve it and install that.",
    Reason.NO_RECORD: "Install it from a wheel with pip.",
    Reason.PTH: "Ask its author to build a wheel without the .pth file.",
    Reason.DATA: "Ask its author to ship these files inside the package.",
    Reason.SYMLINK: "Replace the link: reinstall the approved wheel.",
    Reason.TWO_DISTRIBUTIONS: "Uninstall all of them, then install the approved wheel.",
    Reason.TWO_ENTRY_POINTS: "Uninstall the one that you do not need.",
    Reason.HOOK: "Review what the hook offers and add it to hooks.",
    Reason.WRAPPER: "Ask its author to write a plain hook.",
    Reason.IMPORTED: "Start a new process, and let LeakPro import its plugins.",
    Reason.RAISES: "Mend the plugin, or uninstall it.",
    Reason.HOOK_RAISES: "Mend the hook: it takes no arguments and returns offers.",
    Reason.UNKNOWN_HOOK: "Mend the hook's name.",
    Reason.SIGNATURE: "Mend the hook: `@hookimpl def NAME(): return [...]`.",
    Reason.NOT_OFFERS: "Mend the hook: each hook returns offers of its own kind.",
    Reason.DUPLICATE: "Uninstall one of the two, or rename its offer.",
}


@frozen(kw_only=True)
class Problem:
    """What is wrong with a plugin, and how to mend it."""

    distribution: str
    version: str
    reason: Reason
    expected: str
    found: str
    fix: str

    def __str__(self) -> str:
        """One line: the whole of it."""
        return (
            f"{self.distribution} {self.version}: {self.reason}: "
            f"found {self.found}, expected {self.expected}. {self.fix}"
        )


def problem(
    distribution: str,
    version: str,
    reason: Reason,
    found: str,
    *,
    expected: str = "",
    fix: str = "",
) -> Problem:
    """Return a problem with the reason's own expectation and fix, unless better ones are given."""
    return Problem(
        distribution=distribution,
        version=version,
        reason=reason,
        expected=expected or EXPECTED[reason],
        found=found,
        fix=fix or FIXES[reason],
    )


def refusal(found: Problem, where: str = "") -> PluginRefused:
    """Return the problem as an error."""
    return PluginRefused(
        f"{where}{found.distribution} {found.version}: {found.reason}",
        found=found.found,
        expected=found.expected,
        fix=found.fix,
    )
