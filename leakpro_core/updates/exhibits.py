"""Exhibits of an audit of updates: reconstructions beside the records of the client's batch.

Personal data, in a file of their own, so that the report can be handed on without it.
"""

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from leakpro_core.tabular.exhibits import keep, page, shown

_STYLE = """.panes { display: flex; flex-wrap: wrap; gap: 1rem; margin: .5rem 0; cursor: pointer; }
.pictures { flex-wrap: nowrap; }
figure { margin: 0; max-width: 100%; }
.pictures figure { flex: 0 1 auto; min-width: 0; }
figcaption { color: #4d5866; font-size: .9375rem; }
.pane { overflow: hidden; padding: .25rem; border: 1px solid #d5dbe2; }
.pane img { display: block; width: 12rem; max-width: 100%; image-rendering: pixelated; }
.pane pre { margin: 0; max-width: 40rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.pane img, .pane pre { filter: blur(2rem); }
.panes:hover img, .panes:focus img, .panes:hover pre, .panes:focus pre { filter: none; }
@media (max-width: 40rem) { .pictures { gap: .5rem; }
  .pictures figure { flex: 0 1 12.5rem; } .pictures figcaption { font-size: .8125rem; } }
@media print { .pane img, .pane pre { display: none; }
  .pane::before { content: "never printed"; } }
"""

_TINY = 1e-6
"""What a measure is nearer to nothing than is not told apart from it."""


@frozen(kw_only=True)
class Pair:
    """A record of the batch beside what an attack makes of it.

    batch, record: their numbers; record is None where the batch was not given. original (None
    where it was not given), reconstruction, blind (None where nobody guesses): PNG or text.
    measures: how near it looks, by name; certified: whether the attack says that the update alone
    shows it to be right.
    """

    batch: int
    record: int | None
    original: bytes | str | None = field(repr=False)
    reconstruction: bytes | str = field(repr=False)
    blind: bytes | str | None = field(default=None, repr=False)
    measures: Mapping[str, float] = field(factory=dict)
    certified: bool = False


def write(folder: Path, name: str, attack: str, pairs: Sequence[Pair]) -> Path:
    """Write ``exhibits/<name>.html`` into the run's folder and return its path.

    One self-contained page, no script; what an exhibit shows is blurred until it is opened and
    pointed at, and never printed. The same exhibits give the same bytes. ``CannotWrite`` where the
    disk is full, say.
    """
    banner = "What clients trained on, or something near it, stands on this page."
    body = "".join(_pair(i, p) for i, p in enumerate(pairs, 1))
    return keep(folder, name, page(attack, banner, _said(pairs), body, style=_STYLE, images=True))


def _said(pairs: Sequence[Pair]) -> str:
    """Return what stands on the page, and how it is seen."""
    number, given = len(pairs), sum(p.original is not None for p in pairs)
    many = "1 reconstruction" if number == 1 else f"{number:,} reconstructions"
    beside = "the record of the client's batch that it is matched with"
    parts = [f"Here {'stands' if number == 1 else 'stand'} {many} of this attack"]
    if given:
        each = "" if number == 1 else ", each"
        parts.append(f"{each} beside {beside}. Of each batch those are shown that came nearest")
    if given < number:
        parts.append(". Where the client's batch was not given, a reconstruction stands alone")
    if any(p.blind is not None for p in pairs):
        parts.append(". Last stands what an adversary guesses who never saw the update")
    parts.append(
        ". How they look decides nothing. Open an exhibit and point at it, or touch it, to see it."
    )
    return "".join(parts)


def _pair(number: int, pair: Pair) -> str:
    which = "" if pair.record is None else f", record {pair.record + 1}"
    measures = "".join(f"; {shown(n)} {_figure(v)}" for n, v in pair.measures.items())
    certified = "; certified by the attack" if pair.certified else ""
    there = [
        (caption, what)
        for caption, what in (
            ("record of the batch", pair.original),
            ("reconstruction", pair.reconstruction),
            ("without the update", pair.blind),
        )
        if what is not None
    ]
    pictures = all(isinstance(what, bytes) for _, what in there)
    panes = "".join(_pane(caption, what) for caption, what in there)
    return (
        f"<details>\n<summary>Exhibit {number}: batch {pair.batch + 1}{which}{measures}{certified}"
        f'</summary>\n<div class="panes{" pictures" if pictures else ""}" tabindex="0">\n'
        f"{panes}</div>\n</details>\n"
    )


def _figure(value: float) -> str:
    """Return a measure with three digits and no exponent."""
    if 0.0 < abs(value) < _TINY:
        return "less than 0.000001"
    rounded = float(f"{value:.3g}")
    places = 2 - math.floor(math.log10(abs(rounded))) if rounded else 0
    return f"{rounded:,.{max(places, 0)}f}"


def _pane(caption: str, what: bytes | str) -> str:
    if isinstance(what, str):
        inside = f"<pre>{shown(what)}</pre>"
    else:
        data = b64encode(what).decode()
        inside = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
    return (
        f'<figure>\n<div class="pane">{inside}</div>\n'
        f"<figcaption>{caption}</figcaption>\n</figure>\n"
    )
