"""A real browser reads the page: no request, no complaint, nothing wider than the screen."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import sample
import tables
import updates
from leakpro_html.render import render

from leakpro_core.report import RiskReport

BROWSER = next(
    (
        found
        for name in ("chromium", "chromium-browser", "google-chrome", "chrome")
        if (found := shutil.which(name))
    ),
    None,
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="no chromium was found on PATH"),
]
# The frame is as wide as a small phone; the script is the test's, in a page of its own.
FRAME = """<!DOCTYPE html><body style="margin:0">
<iframe src="report.html" style="width:360px;height:600px;border:0"></iframe>
<output></output><script>
const frame = document.querySelector("iframe");
frame.onload = () => {
  const page = frame.contentDocument;
  const wide = [...page.querySelectorAll("body *")].filter(
    e => !e.closest("svg") && !e.closest("thead") && !e.classList.contains("skip")
      && e.getBoundingClientRect().right > 360.5);
  document.querySelector("output").textContent =
    "scroll " + page.documentElement.scrollWidth + " wide " + wide.length
    + " requests " + frame.contentWindow.performance.getEntriesByType("resource").length
    + " figures " + page.querySelectorAll("svg").length;
};
</script>"""


def _browse(url: str, folder: Path, *arguments: str) -> tuple[str, str]:
    done = subprocess.run(
        [
            str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
            "--no-first-run", "--disable-background-networking", "--disable-component-update",
            "--disable-sync", "--hide-scrollbars", "--allow-file-access-from-files",
            "--enable-logging=stderr",
            f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=5000", *arguments, url,
        ],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    return done.stdout, done.stderr


@pytest.mark.parametrize(
    "make",
    [sample.leak, sample.hostile, tables.table, tables.hostile, updates.leak, updates.hostile],
)
def test_a_small_phone_shows_the_page_whole_and_asks_nobody(
    make: Callable[[], RiskReport], tmp_path: Path
) -> None:
    (path,) = render(make(), tmp_path, None)
    frame = path.with_name("frame.html")
    frame.write_text(FRAME)
    shown, complaints = _browse(frame.as_uri(), tmp_path, "--dump-dom")
    result = re.search(r"<output>(.*?)</output>", shown)
    assert result is not None
    figures = path.read_text().count("<svg")
    assert f"scroll 360 wide 0 requests 0 figures {figures}" == result[1]
    assert [line for line in complaints.splitlines() if "CONSOLE" in line] == []


def test_the_page_prints(tmp_path: Path) -> None:
    (path,) = render(sample.leak(), tmp_path, None)
    printed = tmp_path / "report.pdf"
    _browse(path.as_uri(), tmp_path, "--no-pdf-header-footer", f"--print-to-pdf={printed}")
    assert printed.read_bytes().startswith(b"%PDF-")
