"""Pages of reconstructions: covered, without script, nothing that a record says is markup."""

import re

import numpy as np
import pytest

from leakpro_core.testing.updates import png
from leakpro_core.updates.exhibits import Pair, write


def page(tmp_path, *pairs):
    return write(tmp_path, "exact@server", "exact", pairs).read_text()


def pair(**change):
    said = {
        "batch": 0,
        "record": 1,
        "original": png(np.eye(3)),
        "reconstruction": png(np.zeros((3, 3))),
        "blind": "a text",
        "measures": {"PSNR (dB)": 12.345},
        "certified": True,
    }
    return Pair(**(said | change))


def test_a_page_has_no_script_and_loads_nothing(tmp_path):
    html = page(tmp_path, pair())
    assert "<script" not in html
    assert "default-src 'none'; img-src data:;" in html
    assert re.findall(r"url\(|@import|https?:", html) == []


def test_records_are_covered_until_they_are_opened_and_in_print(tmp_path):
    html = page(tmp_path, pair())
    assert "<details>" in html
    assert "<details open" not in html
    assert ".pane img, .pane pre { filter: blur" in html
    assert re.search(r"@media print \{ \.pane img, \.pane pre \{ display: none", html)


def test_a_record_stands_beside_its_reconstruction_and_the_guess(tmp_path):
    html = page(tmp_path, pair())
    assert html.count("data:image/png;base64,") == 2
    assert "<pre>a text</pre>" in html
    assert "Exhibit 1: batch 1, record 2; PSNR (dB) 12.3; certified by the attack" in html


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (93.127, "93.1"),
        (-1.255, "-1.25"),
        (200.0, "200"),
        (0.99991, "1.00"),
        (1.3e-17, "less than 0.000001"),
        (3.14e-5, "0.0000314"),
        (0.0, "0"),
    ],
)
def test_measures_are_readable(tmp_path, value, said):
    html = page(tmp_path, pair(measures={"error": value}))
    assert f"; error {said}; certified" in html


def test_pictures_are_enlarged_without_smoothing_and_stand_side_by_side(tmp_path):
    html = page(tmp_path, pair(blind=png(np.eye(3))))
    assert "image-rendering: pixelated" in html
    assert '<div class="panes pictures" tabindex="0">' in html
    assert '<div class="panes" tabindex="0">' in page(tmp_path, pair())


def test_without_the_batch_the_reconstruction_stands_alone(tmp_path):
    html = page(tmp_path, pair(record=None, original=None, blind=None, measures={}))
    assert html.count("<figure>") == 1
    assert (
        "Here stands 1 reconstruction of this attack. Where the client's batch was not given"
        in html
    )
    assert "never saw the update" not in html


def test_the_page_says_what_stands_beside_reconstructions(tmp_path):
    html = page(tmp_path, pair(), pair())
    assert "Here stand 2 reconstructions of this attack, each beside the record" in html
    assert "Last stands what an adversary guesses who never saw the update." in html
    mixed = page(tmp_path, pair(), pair(record=None, original=None))
    assert "Where the client's batch was not given, a reconstruction stands alone." in mixed


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "a\x1b[0mb", '"><img src=x>'])
def test_text_of_a_record_stays_text(tmp_path, text):
    html = page(tmp_path, pair(original=text))
    assert text not in html


def test_the_page_is_its_owners_alone_and_the_same_each_time(tmp_path):
    path = write(tmp_path, "../a/b", "exact", [pair()])
    first = path.read_bytes()
    assert path.parent == tmp_path / "exhibits"
    assert path.stat().st_mode & 0o777 == 0o600
    assert write(tmp_path, "../a/b", "exact", [pair()]).read_bytes() == first
