"""One class per mistake. The docstring says when it is raised and what to do; docs list them all.

Every message says what was found, what was expected and the fix.
Only ``cli.py`` turns an error into an exit code and a line on the terminal.
"""

from difflib import get_close_matches
from typing import ClassVar


class LeakProError(Exception):
    """Abstract: a mistake that a user can mend; shown as one line, without a traceback."""

    exit_code: ClassVar[int] = 64

    def __init__(self, what: str, *, found: str = "", expected: str = "", fix: str = "") -> None:
        self.what, self.found, self.expected, self.fix = what, found, expected, fix
        parts = [what]
        if found:
            parts.append(f"found {found}")
        if expected:
            parts.append(f"expected {expected}")
        message = parts[0] + (": " + ", ".join(parts[1:]) if parts[1:] else "")
        # Names of the user's may hold line breaks; the message is one line all the same.
        super().__init__(" ".join((message + (f". {fix}" if fix else "")).splitlines()))

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword arguments do not survive pickling by default; errors cross process borders.
        return _rebuild, (type(self), self.what, self.found, self.expected, self.fix)


def _rebuild(
    kind: type[LeakProError], what: str, found: str, expected: str, fix: str
) -> LeakProError:
    return kind(what, found=found, expected=expected, fix=fix)


_LISTED = 12


def nearest(name: str, known: "list[str] | tuple[str, ...]") -> str:
    """Return ``did you mean 'x'?`` for the nearest known name, or the list of known names."""
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"Did you mean {close[0]!r}?"
    if not known:
        return "None is known."
    listed, more = sorted(known)[:_LISTED], len(known) - _LISTED
    return f"Known: {', '.join(listed)}" + (f" and {more} more." if more > 0 else ".")


class MissingFile(LeakProError):
    """A file or folder that the plan or the command names does not exist or cannot be read."""


class PlanSyntaxError(LeakProError):
    """The plan is not valid TOML; the message gives line and column."""


class UnknownKey(LeakProError):
    """The plan has a key that nothing reads; the message names the nearest known one."""


class MissingKey(LeakProError):
    """The plan lacks a key that is needed."""


class WrongType(LeakProError):
    """A value of the plan has another type than its key; nothing is coerced (``"3"`` is not 3)."""


class BadValue(LeakProError):
    """A value of the plan has the right type but lies outside what is allowed."""


class UnknownName(LeakProError):
    """The plan names a loader, trainer, attack, reporter or executor that no plugin offers."""


class DuplicateName(LeakProError):
    """Two things have one name; the message names both sides."""


class UnsafeFile(LeakProError):
    """A file can run code when it is loaded (pickle, torch.export) and is not trusted."""


class BadArray(LeakProError):
    """Arrays of the input disagree in shape or have the wrong dtype."""


class BadRecord(LeakProError):
    """A record of the input is unusable (NaN, infinite, label out of range); names the record."""


class NeedsBothSides(LeakProError):
    """An attack needs shadows trained with and without each record, and a record lacks a side."""


class ReferenceNotFound(LeakProError):
    """An import path of the plan or of an offer does not lead to a callable."""


class NotAFactory(LeakProError):
    """A user's function returned something else than it should; names it and both sides."""


class RunFolderTaken(LeakProError):
    """The output folder holds another audit."""


class CannotWrite(LeakProError):
    """A file of the run cannot be written, the disk is full perhaps; the run can be continued."""

    exit_code = 3


class DamagedFile(LeakProError):
    """A file of the run folder does not have the checksum that was noted when it was written."""


class ReportUnreadable(LeakProError):
    """A report.json cannot be read: not JSON, or of another schema version."""


class NotApplicable(LeakProError):
    """An attack that the plan names cannot be played: an input that it needs is missing."""


class BudgetExceeded(LeakProError):
    """An attack asked more queries of the target than the adversary's budget allows."""

    exit_code = 3


class WrongAnswer(LeakProError):
    """An attack's answer is not one finite claim (or NaN: abstains) for each candidate."""

    exit_code = 3


class TrainingFailed(LeakProError):
    """A model could not be trained; names the model and, where it diverged, the epoch."""

    exit_code = 3


class PluginRefused(LeakProError):
    """Vetting refused a plugin; gives the reason, what was expected, what was found and the fix."""

    exit_code = 4


class RegistryMalformed(LeakProError):
    """The registry cannot be read, or has an unknown key; vetting fails closed."""

    exit_code = 4


class PluginBroken(LeakProError):
    """A plugin that the plan needs raises on import, misspells a hook or returns no offers."""


class HookUnknown(LeakProError):
    """A plugin implements a hook that LeakPro does not have; names the nearest one."""
