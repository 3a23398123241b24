"""Mistakes in the plan: where they stand, and what a validator of an attrs class refused."""

import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import attrs

from leakpro_core.errors import BadValue, LeakProError, nearest
from leakpro_core.wording import show

T = TypeVar("T")


class Mistake(Exception):
    """A mistake on its way up; each level puts its key in front."""

    def __init__(
        self, kind: type[LeakProError], *, found: str = "", expected: str = "", fix: str = ""
    ) -> None:
        super().__init__()
        self.kind, self.found, self.expected, self.fix = kind, found, expected, fix
        self.path = ""


@contextmanager
def below(key: str) -> Iterator[None]:
    """Put ``key`` in front of the path of a mistake made inside."""
    try:
        yield
    except Mistake as mistake:
        mistake.path = f"{key}.{mistake.path}" if mistake.path else key
        raise


@contextmanager
def located(at: str) -> Iterator[None]:
    """Turn a mistake made inside into its error, ``at`` the table that it stands in."""
    try:
        yield
    except Mistake as mistake:
        where = f"{at} {mistake.path}".strip()
        raise mistake.kind(
            where, found=mistake.found, expected=mistake.expected, fix=mistake.fix
        ) from None


def construct(record: type[T], at: str, **values: object) -> T:
    """Return ``record(**values)``; what its validators refuse is a BadValue with its path."""
    with located(at):
        return constructed(record, values)


def hint(value: object, choices: Collection[object]) -> str:
    """Return ``Did you mean 'x'?`` where a choice is near, else nothing: the choices are listed."""
    fix = nearest(value, [str(choice) for choice in choices]) if isinstance(value, str) else ""
    return fix if fix.startswith("Did") else ""


def constructed(record: type[T], values: Mapping[str, Any]) -> T:
    """Return ``record(**values)``; what its validators refuse is a Mistake with its key."""
    try:
        return record(**values)
    except (ValueError, TypeError, LeakProError) as error:
        raise _blamed(record, values, error) from None


def _blamed(record: Any, values: Mapping[str, Any], error: Exception) -> Mistake:
    """Return the mistake with the key of the field whose validator refused."""
    for field in attrs.fields(record):
        if field.validator is None or field.alias not in values:
            continue
        try:
            field.validator(None, field, values[field.alias])
        except Exception as again:
            if (type(again), str(again)) == (type(error), str(error)):
                mistake = _refusal(error, values[field.alias])
                mistake.path = field.alias
                return mistake
    return Mistake(BadValue, expected=" ".join(str(error).split()))


def _refusal(error: Exception, value: object) -> Mistake:
    # in_ and matches_re put (message, attribute, rule, value) into args, the others a message
    # of the form "'name' must be >= 0: -1" or "Length of 'name' must be >= 1: 0".
    if len(error.args) == 4:
        rule, value = error.args[2], error.args[3]
        if isinstance(rule, re.Pattern):
            return Mistake(BadValue, found=show(value), expected=f"text like {rule.pattern}")
        if isinstance(rule, tuple | list | set | frozenset):
            expected = "one of " + ", ".join(map(show, rule))
            return Mistake(BadValue, found=show(value), expected=expected, fix=hint(value, rule))
    text = " ".join(str(error.args[0] if error.args else error).split())
    bound = re.fullmatch(r"(Length of )?'\w+' must be ([<>]=? .*?): .*", text)
    expected = text if bound is None else ("length " if bound[1] else "") + bound[2]
    return Mistake(BadValue, found=show(value), expected=expected)
