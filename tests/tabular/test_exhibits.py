"""Exhibits: what stands in the file, and that names and values in it stay text."""

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from leakpro_core.errors import CannotWrite
from leakpro_core.games.outcome import Exhibit
from leakpro_core.tabular.exhibits import write

HOSTILE = "<script>alert('O\\'Hara & \"co\"')</script>\x1b[2J"


class Document(HTMLParser):
    """Tags, and the text under each <details>."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.outside: list[str] = []
        self.details: list[str] = []
        self._open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes |= dict(attrs)
        self._open.append(tag)
        if tag == "details":
            self.details.append("")

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        if "style" in self._open:
            return
        if "details" in self._open and "summary" not in self._open:
            self.details[-1] += data
        else:
            self.outside.append(data)


def exhibit(number: int = 0, facet: str = "") -> Exhibit:
    return Exhibit(
        claim=f"age = {30 + number} and city = Uppsala",
        truth=(
            ("age", str(30 + number)),
            ("city", "Uppsala"),
            ("wife's name", "<missing> & so on"),
        ),
        subject=1000 + number,
        sure=0.75,
        facet=facet,
    )


def test_the_file_stands_under_the_name_in_a_folder_of_its_own(tmp_path: Path) -> None:
    path = write(tmp_path / "run", "copies@insider", "copies", [exhibit()])
    assert tmp_path / "run" / "exhibits" / "copies@insider.html" == path
    assert [path] == list(path.parent.iterdir())


def test_every_claim_stands_beside_its_persons_row_in_the_order_given(tmp_path: Path) -> None:
    given = [exhibit(i) for i in (2, 0, 1)]
    found = Document(write(tmp_path, "x", "x", given).read_text()).details
    assert len(given) == len(found)
    for one, text in zip(given, found, strict=True):
        assert one.claim in text
        assert f"Person {one.subject}" in text
        for name, value in one.truth:
            assert f"{name}{value}" in text


def test_nothing_of_a_person_is_seen_before_it_is_opened(tmp_path: Path) -> None:
    page = write(tmp_path, "x", "boosted", [exhibit(facet="age")]).read_text()
    document = Document(page)
    outside = " ".join(document.outside)
    assert "Contains personal data" in outside
    assert "boosted" in outside
    assert [part for part in ("Uppsala", "30", "1000") if part in outside] == []
    assert "open" not in document.attributes


def test_nothing_outside_the_file_is_referred_to(tmp_path: Path) -> None:
    page = write(tmp_path, "x", "x", [exhibit()]).read_text()
    document = Document(page)
    assert not {"script", "link", "img", "iframe", "object", "a", "form"} & set(document.tags)
    assert not {"src", "href", "style"} & set(document.attributes)
    assert re.findall(r"url\(|@import|https?:", page) == []
    assert "default-src 'none'" in page


def test_hostile_names_and_values_stay_text(tmp_path: Path) -> None:
    evil = Exhibit(
        claim=HOSTILE, truth=((HOSTILE, HOSTILE),), subject=0, sure=float("nan"), facet=HOSTILE
    )
    page = write(tmp_path, "x", HOSTILE, [evil]).read_text()
    plain = Exhibit(claim="c", truth=(("a", "b"),), subject=0, sure=1.0, facet="f")
    tame = write(tmp_path, "y", "x", [plain]).read_text()
    assert Document(tame).tags == Document(page).tags
    assert "\x1b" not in page
    shown = HOSTILE.replace("\x1b", "\\x1b")
    assert Document(page).details[0].count(shown) == 3


@pytest.mark.parametrize("name", ["../../etc/passwd", "a/b", "..", "a\\b", "con: x\n"])
def test_no_name_leads_to_another_folder(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name, "x", [])
    assert tmp_path / "exhibits" == path.parent
    assert [path] == list((tmp_path / "exhibits").iterdir())


def test_names_that_differ_get_files_that_differ(tmp_path: Path) -> None:
    names = ["a/b", "a%2Fb", "a%252Fb", "a b", "a+b", "\u00e5/\u00e4"]
    assert len(names) == len({write(tmp_path, name, "x", []) for name in names})


def test_the_same_exhibits_give_the_same_bytes(tmp_path: Path) -> None:
    first = write(tmp_path / "1", "x", "x", [exhibit(1), exhibit(2)]).read_bytes()
    assert first == write(tmp_path / "2", "x", "x", [exhibit(1), exhibit(2)]).read_bytes()


def test_a_page_without_exhibits_says_so(tmp_path: Path) -> None:
    assert "No claim about a person" in write(tmp_path, "x", "x", []).read_text()


def test_a_folder_that_cannot_be_made_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "exhibits").write_text("a file in its place")
    with pytest.raises(CannotWrite, match=r"exhibits/x\.html"):
        write(tmp_path, "x", "x", [])
