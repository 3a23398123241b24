"""The page: a pure function of the report, self-contained, complete, and no way to break out."""

import hashlib
import re
from collections.abc import Callable
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
import pytest
import sample
from attrs import evolve
from leakpro_html.render import page, render

from leakpro_core.report import RiskReport, from_json, to_json

SECTIONS = (
    "answer", "findings", "adversaries", "not-tested", "limits", "trust", "overview", "controls",
    "attacks", "methods", "glossary", "reproduce",
)  # fmt: skip
Sample = Callable[[], RiskReport]


@cache
def text_of(make: Sample) -> str:
    """The page of a sample; drawn once, since that takes a second."""
    return page(make())


class Document(HTMLParser):
    """What the tests ask of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self._skip = 0
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._skip += tag in ("style", "svg")

    def handle_endtag(self, tag: str) -> None:
        self._skip -= tag in ("style", "svg")

    def handle_data(self, data: str) -> None:
        if not self._skip:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, *names: str) -> list[dict[str, str | None]]:
        return [attrs for tag, attrs in self.tags if tag in names]


def test_render_writes_one_file_and_returns_its_path(tmp_path: Path) -> None:
    assert (tmp_path / "report.html",) == render(sample.not_found(), tmp_path, None)
    assert [tmp_path / "report.html"] == list(tmp_path.iterdir())


@pytest.mark.parametrize("make", [sample.leak, sample.incomplete, sample.hostile])
def test_the_page_is_a_function_of_the_json(make: Sample) -> None:
    assert text_of(make) == page(from_json(to_json(make())))


def test_whole_numbers_where_the_json_has_fractions_change_nothing() -> None:
    report = sample.not_found()
    whole = evolve(report, findings=(evolve(report.findings[0], strength=0),))
    assert page(report) == page(whole)


def test_settings_of_the_user_change_no_byte_and_stay_as_they_are() -> None:
    expected = hashlib.sha256(text_of(sample.inconclusive).encode()).hexdigest()
    with mpl.rc_context({"svg.fonttype": "path", "font.size": 30, "axes.grid": True}):
        before = dict(mpl.rcParams)
        assert expected == hashlib.sha256(page(sample.inconclusive()).encode()).hexdigest()
        assert before == dict(mpl.rcParams)


@pytest.mark.parametrize("make", sample.SAMPLES)
def test_every_section_is_there(make: Sample) -> None:
    ids = [a["id"] for _, a in Document(text_of(make)).tags if "id" in a]
    assert [name for name in SECTIONS if name not in ids] == []
    assert len(set(ids)) == len(ids)


@pytest.mark.parametrize("make", sample.SAMPLES)
def test_links_and_figures_point_to_ids_of_the_page(make: Sample) -> None:
    text = text_of(make)
    ids = set(re.findall(r'\bid="([^"]+)"', text))
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)|aria-labelledby="([^"]+)"', text)
    named = {name for group in used for one in group for name in one.split()}
    assert set() == named - ids


@pytest.mark.parametrize("make", sample.SAMPLES)
def test_nothing_outside_the_page_is_referred_to(make: Sample) -> None:
    document = Document(text_of(make))
    assert document.all("script", "link", "iframe", "object", "embed", "img", "base", "form") == []
    for tag, attrs in document.tags:
        assert not {name for name in attrs if name.startswith("on")}, tag
        for name in ("src", "href", "xlink:href", "action", "srcset", "data"):
            assert (attrs.get(name) or "#").startswith("#"), tag
    style = re.search(r"<style>(.*?)</style>", text_of(make), re.DOTALL)
    assert style is not None
    assert re.findall(r"url\(|@import|https?:", style[1]) == []


def test_the_policy_of_the_page_forbids_everything_but_style() -> None:
    policy = Document(text_of(sample.smallest)).all("meta")[1]
    assert policy["http-equiv"] == "Content-Security-Policy"
    assert str(policy["content"]).startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_hostile_names_stay_text() -> None:
    text = text_of(sample.hostile)
    assert "<script" not in text
    assert "{{ 7*7 }}" in text
    plain, hostile = Document(text_of(sample.incomplete)), Document(text)
    assert [tag for tag, _ in plain.tags if tag != "path"][:40] == [
        tag for tag, _ in hostile.tags if tag != "path"
    ][:40]


@pytest.mark.parametrize("make", [s for s in sample.SAMPLES if s is not sample.hostile])
def test_no_number_is_missing_and_no_word_promises_too_much(make: Sample) -> None:
    text = Document(text_of(make)).text.lower()
    forbidden = r"\b(nan|inf|none none|safe|safely|anonymous|compliant|undefined)\b"
    assert re.findall(forbidden, text) == []


@pytest.mark.parametrize("make", sample.SAMPLES)
def test_headings_do_not_skip_a_level(make: Sample) -> None:
    levels = [int(tag[1]) for tag, _ in Document(text_of(make)).tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert [pair for pair in pairwise(levels) if pair[1] > pair[0] + 1] == []


def test_tables_have_captions_and_scopes_and_figures_have_descriptions() -> None:
    document = Document(text_of(sample.incomplete))
    assert len(document.all("table")) == len(document.all("caption"))
    assert {"col", "row"} == {attrs.get("scope") for attrs in document.all("th")}
    figures = document.all("svg")
    assert {"img"} == {attrs["role"] for attrs in figures}
    assert len(document.all("desc")) == len(figures)


def test_every_attack_shows_placebo_and_blind_beside_its_figures() -> None:
    text = Document(text_of(sample.leak)).text
    assert text.count("TPR, placebo") == 8
    assert text.count("TPR, blind") == 8


def test_the_verdict_is_told_in_words_with_both_sides() -> None:
    report = sample.leak()
    text = Document(text_of(sample.leak)).text
    assert report.statement in text
    assert "Realistic adversary" in text
    assert "Worst-case adversary" in text
    for finding in report.findings:
        assert finding.statement in text
    assert "of the 4,000 members" in text


def test_the_lawyers_part_has_no_p_value_and_no_area() -> None:
    text = text_of(sample.leak)
    part = Document(text[text.index("<main>") : text.index('class="part"')]).text
    assert re.findall(r"\bAUC\b|\bp [=<]|\bROC\b", part) == []


def test_an_adversary_that_was_not_declared_is_said_to_be_missing_and_takes_no_room() -> None:
    text = text_of(sample.not_found)
    assert "the plan declares none, so nothing is known about one" in Document(text).text
    assert (text.count('class="side"'), text.count('class="sides one"')) == (1, 1)
    both = text_of(sample.leak)
    assert (both.count('class="side"'), both.count('class="sides one"')) == (2, 0)


def test_what_could_still_be_flagged_and_the_number_needed() -> None:
    text = Document(text_of(sample.inconclusive)).text
    assert "up to 6% of members could still be flagged; the policy tolerates 3%" in text
    assert "FPR 0.1% 100% 1% no about 4,500" in text


def test_a_declared_rate_that_the_records_do_not_resolve_is_named() -> None:
    text = Document(text_of(sample.inconclusive)).text
    assert "FPR of 0.1% no attack has an operating point: there are too few" in text


def test_what_was_counted_is_called_exact_and_the_range_is_that_of_the_mistakes() -> None:
    report = sample.counted()
    text = Document(page(report)).text
    assert "exact" in text
    point = next(p for p in report.attacks[-1].points if (p.kind, p.level) == ("fpr", 0.01))
    hits = round(1000 * point.tpr.value / 10) * 10
    assert f"Of 1,000 members, {hits} are flagged; of 1,000 non-members, 6 to 14 are" in text


def test_failed_attacks_are_shown_with_their_reasons() -> None:
    text = Document(text_of(sample.incomplete)).text
    assert "ValueError: variance of no observations" in text
    assert "needs records, and the plan has outputs only" in text
    assert "not applicable" in text


def test_attacks_that_still_gain_from_shadows_say_so() -> None:
    assert "Still rising" in Document(text_of(sample.leak)).text
    assert "Still rising" not in Document(text_of(sample.not_found)).text


def test_controls_that_were_not_played_are_named() -> None:
    assert "not played" in Document(text_of(sample.targets)).text


def test_thirty_attacks_are_drawn_in_charts_that_fit_a_page() -> None:
    heights = [
        int(box.split()[3])
        for attrs in Document(text_of(sample.many)).all("svg")
        if (box := attrs["viewbox"])
    ]
    assert len(heights) > 60
    assert max(heights) <= 1000


def test_provenance_is_complete() -> None:
    report = sample.leak()
    text = Document(text_of(sample.leak)).text
    origin = report.provenance
    for part in (
        origin.command, origin.plan_sha256, origin.evidence_sha256, origin.registry_sha256,
        origin.started, report.target.identity, "unverified (editable)", "2 min 34 s", "3.11.2",
    ):  # fmt: skip
        assert part in text


def _without_reach(sampling: str) -> str:
    report = sample.leak()
    first, *others = report.findings
    unresolved = evolve(first, reach=None, reach_of=None, reach_fpr=None)
    data = evolve(report.data, sampling=sampling)
    return Document(page(evolve(report, findings=(unresolved, *others), data=data))).text


def test_why_no_number_of_people_is_given_is_the_true_reason() -> None:
    said = "Reach: no number of people is given, because "
    for sampling in ("all", "random"):
        assert f"{said}the records do not resolve any declared" in _without_reach(sampling)
    assert f"{said}the members tested are neither all nor a" in _without_reach("other")


def test_reach_in_the_most_vulnerable_tenth_is_among_its_members() -> None:
    assert "of the 400 most exposed members, with 10%" in Document(text_of(sample.leak)).text


def test_what_was_not_tested_is_listed_once() -> None:
    # Core lists every attack that did not finish.
    page = Document(text_of(sample.incomplete)).text
    listed = page.partition("What was not tested")[2].partition("Can the test be relied on?")[0]
    assert listed.count("ValueError: variance of no observations") == 1
