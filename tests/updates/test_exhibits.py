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
    assert re.search(r"@media print \{ \.pane img, \.pane pre \{ visibility: hidden", html)


def test_a_record_stands_beside_its_reconstruction_and_the_guess(tmp_path):
    html = page(tmp_path, pair())
    assert html.count("data:image/png;base64,") == 2
    assert "<pre>a text</pre>" in html
    assert "Exhibit 1: batch 1, record 2; PSNR (dB) 12.35; certified" in html


def test_without_the_batch_the_reconstruction_stands_alone(tmp_path):
    html = page(tmp_path, pair(record=None, original=None, blind=None, measures={}))
    assert html.count("<figure>") == 1


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
