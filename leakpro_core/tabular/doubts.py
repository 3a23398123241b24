"""Columns that would pass for categories, or free text, though somebody meant something else.

As categories the values of numbers and dates are equal or not, and nothing between: an attack on
such a column finds less than there is. So they are refused, unless their kind is stated.
"""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from attrs import frozen

from leakpro_core.arrays import Bools
from leakpro_core.tabular import instants, parts
from leakpro_core.tabular.parts import Holds, Part
from leakpro_core.wording import show, show_key

MANY = 20
"""More different values than this of one form are measured, not named."""

MARKERS = 3
"""So many different other values may stand for what is missing."""

_DATE = (
    r"^(\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d\d)|\d{4}[./]\d{1,2}[./]\d{1,2}"
    r"|\d{1,2}[ -]?[A-Za-z]{3,9}\.?[ -]?\d{2,4}|[A-Za-z]{3,9}\.? \d{1,2},? \d{4})([ T].*)?$"
)
_COMMAS = r"^[+-]?(\d{1,3}([,.' ]\d{3})+([.,]\d+)?|\d+,\d+)$"
_ISO = "a date as 2020-01-31 or 2020-01-31 12:30:00"
_POINT = "a number as 1234.5"


@frozen(kw_only=True)
class _Form:
    """What values may look like: bool a distinct text, and how the right form is told."""

    those: Bools
    right: Bools
    expected: str


def refuse(name: str, read: Sequence[Part]) -> None:
    """Raise BadRecord where most texts are numbers or dates, in a form or with marks of its own.

    read: the column in each table, of which texts are looked at; its kind was not stated.
    """
    texts = [p for p in read if p.holds is Holds.TEXT]
    if not texts:
        return
    each = [_forms(p) for p in texts]
    for forms in zip(*each, strict=True):
        _refuse_form(name, texts, forms)
    _refuse_spelling(name, texts)


def _forms(part: Part) -> tuple[_Form, _Form]:
    trimmed = pc.ascii_trim_whitespace(part.distinct)
    number = parts.are_numbers(part)
    date = instants.looks_dated(part.distinct)
    return (
        _Form(those=number | _match(trimmed, _COMMAS), right=number, expected=_POINT),
        _Form(those=date | _match(trimmed, _DATE), right=date, expected=_ISO),
    )


def _match(texts: pa.Array, pattern: str) -> Bools:
    return np.asarray(pc.match_substring_regex(texts, pattern), np.bool_)


def _refuse_form(name: str, texts: Sequence[Part], forms: Sequence[_Form]) -> None:
    those = _different(texts, [f.those for f in forms])
    others = _different(texts, [~f.those for f in forms])
    if those <= MANY or others > MARKERS:
        return
    state = f'state columns = {{ {show_key(name)} = "categorical" }}.'
    for part, form in zip(texts, forms, strict=True):
        parts.refuse_first(
            part, form.those & ~form.right, form.expected, f"Write it so, or {state}"
        )
    for part, form in zip(texts, forms, strict=True):
        known = part.codes[part.codes >= 0]
        parts.refuse_first(
            part,
            ~form.those,
            f"{form.expected}, as {int(form.those[known].sum()):,} of {len(known):,} values there",
            f"Leave the field empty where it is missing, or {state}",
        )


def _different(texts: Sequence[Part], those: Sequence[Bools]) -> int:
    found = [p.distinct.filter(pa.array(keep)) for p, keep in zip(texts, those, strict=True)]
    return len(pc.unique(pa.concat_arrays(found)))


def _refuse_spelling(name: str, texts: Sequence[Part]) -> None:
    """Refuse a table that has no value in common with the original's, but for case and spaces."""
    original = next((p for p in texts if p.role == "original"), texts[0])
    known = set(original.distinct.to_pylist())
    plain = {text.strip().casefold(): text for text in known}
    for part in texts:
        here = part.distinct.to_pylist()
        if part is original or not known.isdisjoint(here):
            continue
        alike = np.array([text.strip().casefold() in plain for text in here], np.bool_)
        if alike.any():
            other = plain[here[int(alike.argmax())].strip().casefold()]
            parts.refuse_first(
                part,
                alike,
                f"{show(other)}, as in {original.role}: otherwise no value is equal in both",
                f"Spell it alike, or leave it out with ignore = [{show(name)}].",
            )
