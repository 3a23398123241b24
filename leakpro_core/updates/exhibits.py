"""Exhibits of an audit of updates: reconstructions beside the records of the client's batch.

Personal data, in a file of their own, so that the report can be handed on without it.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import field, frozen

from leakpro_core.tabular.exhibits import keep, page, shown

_STYLE = """.panes { display: flex; flex-wrap: wrap; gap: 1rem; margin: .5rem 0; }
figure { margin: 0; max-width: 100%; }
figcaption { color: #4d5866; font-size: .9375rem; }
.pane { overflow: hidden; padding: .25rem; border: 1px solid #d5dbe2; cursor: pointer; }
.pane img { display: block; width: 12rem; max-width: 100%; image-rendering: pixelated; }
.pane pre { margin: 0; max-width: 40rem; white-space: pre-wrap; overflow-wrap: anywhere; }
.pane img, .pane pre { filter: blur(.75rem); }
.pane:hover img, .pane:focus img, .pane:hover pre, .pane:focus pre { filter: none; }
@media print { .pane img, .pane pre { visibility: hidden; } }
"""


@frozen(kw_only=True)
class Pair:
    """A record of the batch beside what an attack makes of it.

    batch, record: their numbers; record is None where the batch was not given. original (None
    where it was not given), reconstruction, blind (None where nobody guesses): PNG or text.
    measures: how near it looks, by name; certified: whether the attack says that it is right.
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

    One self-contained page, no script; every exhibit is blurred until it is opened and pointed at,
    and never printed. The same exhibits give the same bytes. ``CannotWrite`` where the disk is
    full, say.
    """
    said = (
        f"Reconstructions of this attack, {len(pairs):,} of them, each beside the record of the "
        "client's batch that it is matched with, and beside what an adversary guesses who never "
        "saw the update. Of each batch those are shown that came nearest. How they look decides "
        "nothing. Open one and point at it to see it."
    )
    banner = "What clients trained on, or something near it, stands on this page."
    body = "".join(_pair(i, p) for i, p in enumerate(pairs, 1))
    return keep(folder, name, page(attack, banner, said, body, style=_STYLE, images=True))


def _pair(number: int, pair: Pair) -> str:
    which = "" if pair.record is None else f", record {pair.record + 1}"
    measures = "".join(f"; {shown(name)} {value:.4g}" for name, value in pair.measures.items())
    certified = "; certified" if pair.certified else ""
    panes = _pane("record of the batch", pair.original)
    panes += _pane("reconstruction", pair.reconstruction)
    panes += _pane("without the update", pair.blind)
    return (
        f"<details>\n<summary>Exhibit {number}: batch {pair.batch + 1}{which}{measures}{certified}"
        f'</summary>\n<div class="panes">\n{panes}</div>\n</details>\n'
    )


def _pane(caption: str, what: bytes | str | None) -> str:
    if what is None:
        return ""
    if isinstance(what, str):
        inside = f"<pre>{shown(what)}</pre>"
    else:
        data = b64encode(what).decode()
        inside = f'<img alt="{caption}" src="data:image/png;base64,{data}">'
    return (
        f'<figure>\n<div class="pane" tabindex="0">{inside}</div>\n'
        f"<figcaption>{caption}</figcaption>\n</figure>\n"
    )
