"""Exhibits: claims that came true, beside the rows of the people they are about. Personal data.

They show a controller what a leak looks like, in a file of their own, so that the report can be
handed on without it.
"""

from collections.abc import Sequence
from html import escape
from math import isnan
from pathlib import Path
from urllib.parse import quote

from leakpro_core.files import cannot_write, write_atomic
from leakpro_core.games.outcome import Exhibit
from leakpro_core.store import EXHIBITS

_PLAIN = " @._-+,()"
"""Signs that stand in a file's name as they are, as letters and digits do."""

_STYLE = """:root { color-scheme: light; }
* { box-sizing: border-box; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; color: #1c2430; background: #fff;
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 1rem 0 .5rem; }
h1, p, td, th, summary { overflow-wrap: anywhere; }
.banner { border: .2rem solid #8c1d18; padding: .75rem 1rem; margin: 0; }
.banner strong { display: block; color: #8c1d18; font-size: 1.25rem; }
details { border: 1px solid #d5dbe2; margin: .5rem 0; padding: .5rem .75rem; }
summary { cursor: pointer; }
.covered { display: inline-block; width: 9rem; max-width: 40%; height: .9em; margin-left: .5rem;
  vertical-align: -.1em; filter: blur(.2rem);
  background: repeating-linear-gradient(90deg, #4d5866 0 .5rem, #c3cad3 .5rem .7rem); }
details[open] .covered { display: none; }
.claim { margin: .75rem 0 .25rem; }
table { border-collapse: collapse; font-size: .9375rem; margin: .5rem 0; }
th, td { text-align: left; vertical-align: top; padding: .2rem 1.5rem .2rem 0;
  border-bottom: 1px solid #d5dbe2; }
caption { text-align: left; white-space: nowrap; color: #4d5866; }
th { font-weight: 600; min-width: 8rem; }
@media print { details { break-inside: avoid; } }
"""


def write(folder: Path, name: str, attack: str, exhibits: Sequence[Exhibit]) -> Path:
    """Write ``exhibits/<name>.html`` into the run's folder and return its path.

    One self-contained page, no script; every exhibit is covered until it is opened, in print too.
    The same exhibits give the same bytes. name: signs that a file's name cannot hold are written
    as in a URL; attack: what the page calls the attack. ``CannotWrite`` where the disk is full,
    say.
    """
    return keep(folder, name, _page(attack, exhibits))


def keep(folder: Path, name: str, page: str) -> Path:
    """Write a page that holds personal data as ``exhibits/<name>.html``, for its owner alone."""
    path = folder / EXHIBITS / f"{_safe(name)}.html"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error
    write_atomic(path, page.encode())
    path.chmod(0o600)  # nobody else's to read
    return path


def _safe(name: str) -> str:
    """Return the name without a sign that leads to another folder; other names stay other."""
    return "".join(c if c.isalnum() or c in _PLAIN else quote(c, safe="") for c in name)


def _page(attack: str, exhibits: Sequence[Exhibit]) -> str:
    number = len(exhibits)
    said = (
        "No claim about a person in the training data came true."
        if number == 0
        else f"Here {'stand' if number > 1 else 'stands'} {number:,} of the claims of this attack "
        "about people in the training data that came true, each beside that person's row. "
        "Open one to see it."
    )
    body = "".join(_exhibit(i, e) for i, e in enumerate(exhibits, 1))
    return page(attack, "Rows of real people stand on this page.", said, body)


def page(
    attack: str, banner: str, said: str, body: str, *, style: str = "", images: bool = False
) -> str:
    """Return a self-contained page without a script, behind a banner that says what it holds.

    said: a sentence before ``body``, which is HTML; style: rules beside those of every page;
    images: whether it holds any, as data URIs.
    """
    title = f"Exhibits of {shown(attack)}"
    shows = "img-src data:; " if images else ""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        f"{shows}style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="referrer" content="no-referrer">\n'
        '<meta name="robots" content="noindex, noarchive">\n'
        f"<title>{title}</title>\n<style>\n{_STYLE}{style}</style>\n</head>\n<body>\n"
        '<p class="banner" role="note"><strong>Contains personal data</strong> '
        f"{banner} Keep it as the training data are kept, hand it "
        "to nobody who may not see those, and delete it with them.</p>\n"
        f"<main>\n<h1>{title}</h1>\n<p>{said}</p>\n{body}</main>\n</body>\n</html>\n"
    )


def _exhibit(number: int, exhibit: Exhibit) -> str:
    about = f", {shown(exhibit.facet)}" if exhibit.facet else ""
    sure = "" if isnan(exhibit.sure) else f" (sure: {exhibit.sure:.4g})"
    rows = "".join(
        f'<tr><th scope="row">{shown(name)}</th><td>{shown(value)}</td></tr>\n'
        for name, value in exhibit.truth
    )
    return (
        f"<details>\n<summary>Exhibit {number}{about}"
        '<span class="covered" aria-hidden="true"></span></summary>\n'
        f'<p class="claim"><strong>Claim</strong>{sure}: '
        f"{shown(exhibit.claim)}</p>\n"
        f"<table>\n<caption>Person {exhibit.subject}, the row in the training data</caption>\n"
        f"<tbody>\n{rows}</tbody>\n</table>\n</details>\n"
    )


def shown(text: str) -> str:
    """Return text of data or plan, so that it stays text; what cannot be printed is escaped."""
    plain = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return escape(plain)
