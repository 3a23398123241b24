"""Audits of tables: what the page says is what the report says, and no facet breaks out."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise

import pytest
import sample
import tables
from attrs import evolve
from leakpro_html import success
from leakpro_html.render import page
from test_page import Document

from leakpro_core.records import Estimate
from leakpro_core.report import (
    AttackResult,
    Finding,
    RiskReport,
    SuccessPoint,
    Word,
    from_json,
    to_json,
)

Sample = Callable[[], RiskReport]
GAMES = ("Singling out", "Linkability", "Attribute inference", "Copies")


@cache
def text_of(make: Sample) -> str:
    return page(make())


class Rates(HTMLParser):
    """The tables of hit rates: (anchor of the attack, caption, label of the row, its cells)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.rows: list[tuple[str, str, str, dict[str, str]]] = []
        self._anchor, self._caption, self._cell = "", "", ""
        self._inside = self._small = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "article":
            self._anchor = given["aria-labelledby"] or ""
        elif tag == "table":
            self._inside, self._caption = "rates" in (given["class"] or ""), ""
        elif tag == "tr" and self._inside:
            self.rows.append((self._anchor, self._caption, "", {}))
        elif tag in ("td", "caption", "th"):
            self._cell = given.get("data-label") or tag
        self._small = tag == "small" or (self._small and tag not in ("td", "th"))

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "table"
        self._cell = "" if tag in ("td", "caption", "th") else self._cell

    def handle_data(self, data: str) -> None:
        if self._cell == "caption":
            self._caption += data
        if not (self._inside and self._cell and self.rows) or self._cell == "caption":
            return
        anchor, caption, label, cells = self.rows[-1]
        if self._cell == "th" and not self._small:
            self.rows[-1] = (anchor, caption, label + data, cells)
        else:
            key = f"{self._cell} point" if self._small else self._cell
            cells[key] = cells.get(key, "") + data


def _shown(make: Sample) -> Iterator[tuple[AttackResult, SuccessPoint, dict[str, str]]]:
    """Yield every row of hit rates on the page with the point of the report that it shows."""
    report = make()
    attacks = {
        f"success-{number}-{place}": attack
        for number, card in enumerate(report.adversaries, 1)
        for place, attack in enumerate(
            (
                a
                for a in report.attacks
                if a.adversary == card.name and a.status == "finished" and success.plays(a)
            ),
            1,
        )
    }
    for anchor, caption, label, cells in Rates(text_of(make)).rows:
        if not cells.get("Excess, points"):
            continue
        attack = attacks[anchor]
        if caption.startswith(("All together", "Exact repeats")):
            found = [p for p in attack.success if (p.facet, p.coverage) == ("", label.lower())]
        else:
            coverage = caption.partition(",")[0].lower()
            found = [
                p for p in attack.success if p.facet and p.coverage == coverage and p.facet == label
            ]
        (point,) = found
        yield attack, point, cells


def _numbers(text: str) -> list[float]:
    plain = text.replace("\u2212", "-").replace("\u2013", " ").replace("%", "")
    return [float(part) / 100 for part in re.findall(r"[-+]?[\d.]+", plain)]


def _agrees(estimate: Estimate, cells: dict[str, str], name: str) -> None:
    """The range holds the interval, and no end or point is off by more than a digit."""
    low, high = _numbers(cells[name])
    (value,) = _numbers(cells[f"{name} point"].replace("<", "").replace(">", ""))
    for exact, printed in ((estimate.low, low), (estimate.high, high), (estimate.value, value)):
        assert abs(exact - printed) <= max(10 / estimate.n, 0.1 * abs(exact), 1e-9)
    assert low <= estimate.low + 1e-9
    assert high >= estimate.high - 1e-9


@pytest.mark.parametrize("make", [tables.table, tables.generator, tables.wide])
def test_every_figure_of_the_page_is_that_of_the_report(make: Sample) -> None:
    report = make()
    rows = list(_shown(make))
    for _, point, cells in rows:
        _agrees(point.exposed, cells, "People in the data")
        _agrees(point.control, cells, "Control people")
        _agrees(point.excess, cells, "Excess, points")
        _agrees(point.risk, cells, "R, %")
        if point.blind is not None and point.over_blind is not None:
            _agrees(point.blind, cells, "Blind adversary")
            _agrees(point.over_blind, cells, "Over blind, points")
        (bound,) = _numbers(cells["Excess, at most"])
        assert point.excess_high - 1e-9 <= bound <= point.excess_high + 0.1
        (strength,) = (100 * x for x in _numbers(cells["L, odds ≥"]))
        assert strength <= point.likelihood_low + 1e-9
        assert point.likelihood_low <= 1.1 * strength + 0.01
    expected = {
        (a.label, a.adversary, p.facet, p.coverage)
        for a in report.attacks
        for p in a.success
        if make is not tables.wide or p.facet == ""
    }
    shown = {(a.label, a.adversary, p.facet, p.coverage) for a, p, _ in rows}
    assert expected - shown == set()


def test_an_excess_below_zero_is_shown_below_zero() -> None:
    below = [
        (point, cells) for _, point, cells in _shown(tables.table) if point.excess.value < -0.006
    ]
    assert len(below) > 3
    for point, cells in below:
        assert cells["Excess, points point"].startswith("\u2212")
        assert cells["R, % point"].startswith("\u2212")
        assert point.excess.low < 0


def test_without_a_blind_adversary_there_is_no_column_for_one() -> None:
    text = text_of(tables.generator)
    assert "no blind adversary was played" in text
    assert all("Blind adversary" not in cells for _, _, cells in _shown(tables.generator))
    assert "no blind adversary was played" not in text_of(tables.table)


def test_of_three_hundred_facets_the_worst_twenty_are_shown_and_the_page_says_so() -> None:
    report = tables.wide()
    shown = [p for _, p, _ in _shown(tables.wide) if p.facet and p.coverage == "all claims"]
    there = [p for p in report.attacks[0].success if p.facet and p.coverage == "all claims"]
    worst = sorted(there, key=lambda p: (-p.likelihood_low, -p.excess.low))[: success.SHOWN]
    assert {p.facet for p in worst} == {p.facet for p in shown}
    assert len(shown) == success.SHOWN
    text = text_of(tables.wide)
    assert "the 20 worst of 300 by L" in text
    assert "the other 280 are in report.json" in text


def test_attributes_are_ordered_by_their_excess_and_numbers_of_columns_by_number() -> None:
    rows = [(a, p) for a, p, _ in _shown(tables.table) if p.facet and p.coverage == "all claims"]
    excess = [p.excess.value for a, p in rows if a.label == "nearest-rows"]
    assert len(excess) == len(tables.SECRETS)
    assert sorted(excess, reverse=True) == excess
    columns = [p.facet for a, p in rows if a.label == "multi-column"]
    assert columns == [f"{n} columns" for n in (2, 3, 4, 8, 12, 15)]


@pytest.mark.parametrize("make", tables.SAMPLES)
def test_charts_fit_a_page(make: Sample) -> None:
    boxes = [attrs["viewbox"] or "" for attrs in Document(text_of(make)).all("svg")]
    assert all(int(box.split()[3]) <= 1000 for box in boxes)


def test_charts_tell_what_they_show() -> None:
    report = tables.generator()
    told = re.findall(r"<desc[^>]*>(.*?)</desc>", text_of(tables.generator))
    assert any(d.startswith("release 1, 4,800 rows: ") for d in told)
    assert any(d.startswith("480 rows, 480 rows: ") for d in told)
    facets = [d for d in told if "education: " in d]
    assert len(facets) == len({p.coverage for p in report.attacks[0].success})


@pytest.mark.parametrize("make", [tables.generator, tables.hostile])
def test_the_page_is_a_function_of_the_json(make: Sample) -> None:
    assert text_of(make) == page(from_json(to_json(make())))


@pytest.mark.parametrize("make", tables.SAMPLES)
def test_structure_links_and_tables_are_sound(make: Sample) -> None:
    text = text_of(make)
    document = Document(text)
    ids = [str(a["id"]) for _, a in document.tags if "id" in a]
    assert len(set(ids)) == len(ids)
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)|aria-labelledby="([^"]+)"', text)
    assert {name for group in used for one in group for name in one.split()} - set(ids) == set()
    levels = [int(tag[1]) for tag, _ in document.tags if re.fullmatch("h[1-6]", tag)]
    assert [pair for pair in pairwise(levels) if pair[1] > pair[0] + 1] == []
    assert len(document.all("table")) == len(document.all("caption"))


@pytest.mark.parametrize("make", tables.SAMPLES)
def test_only_exhibits_are_linked_and_none_is_inlined(make: Sample) -> None:
    document = Document(text_of(make))
    assert document.all("script", "link", "iframe", "object", "embed", "img", "base", "form") == []
    links = [a["href"] or "" for a in document.all("a")]
    outward = [link for link in links if not link.startswith("#")]
    assert [x for x in outward if not re.fullmatch(r"exhibits/[\w.%@+() -]+\.html", x)] == []
    for _, attrs in document.tags:
        assert not {"src", "srcset", "action", "data"} & set(attrs)
        assert not {name for name in attrs if name.startswith("on")}


def test_a_link_to_exhibits_says_that_they_are_personal_data() -> None:
    text = text_of(tables.table)
    names = [a.exhibits for a in tables.table().attacks if a.exhibits]
    assert names
    assert [name for name in names if f'<a href="{name}">' not in text] == []
    assert len(names) == text.count("<strong>That file holds personal data.</strong>")


def test_hostile_names_stay_text() -> None:
    text = text_of(tables.hostile)
    assert "<script" not in text
    assert 'href="javascript' not in text
    assert "{{ 7*7 }}" in text


@pytest.mark.parametrize("make", [s for s in tables.SAMPLES if s is not tables.hostile])
def test_no_number_is_missing_and_no_word_promises_too_much(make: Sample) -> None:
    text = Document(text_of(make)).text.lower()
    forbidden = r"\b(nan|inf|none none|safe|safely|anonymous|compliant|undefined)\b"
    assert re.findall(forbidden, text) == []


def test_every_game_has_a_section_and_the_lawyers_part_has_no_p_value() -> None:
    text = text_of(tables.table)
    headings = re.findall(r"<h2 [^>]*>(.*?)</h2>", text)
    assert [name for name in GAMES if name not in headings] == []
    part = Document(text[text.index("<main>") : text.index('class="part"')]).text
    assert re.findall(r"\bAUC\b|\bp [=<]|\bROC\b", part) == []
    assert "repeat a row of the training data" in part


def test_people_claims_and_notes_are_told() -> None:
    text = Document(text_of(tables.table)).text
    assert "Made: 412 of 2,000 predicates that were asked for" in text
    assert "Distinct people in the data about whom a claim came true: 188." in text
    assert "412 of 2,000 predicates were found: no column holds more rare values." in text
    assert "No rate: too few claims were made" in Document(text_of(tables.generator)).text


def test_bounds_stand_beside_what_is_tolerated_the_worst_in_the_answer() -> None:
    report = tables.table()
    finding = next(f for f in report.findings if f.family == "attribute-inference")
    worst = max(finding.bounds, key=lambda b: b.high)
    text = Document(text_of(tables.table)).text
    answer = text[: text.index("Who the adversaries are")]
    said = re.search(rf"{worst.facet.capitalize()}: up to ([\d.]+) more", answer)
    assert said is not None
    assert 100 * worst.high <= float(said[1]) <= 100 * worst.high + 1
    assert "the policy tolerates 4." in answer
    assert f"{len(finding.bounds) - success.ANSWERED} more such bounds" in answer


def test_released_rows_columns_and_kinds_are_listed() -> None:
    text = Document(text_of(tables.table)).text
    assert "4,800 rows of 17 columns" in text
    assert "boolean 1 sex" in text
    assert "identifier 1 person's number" in text
    assert "and 260 more, in report.json" in Document(text_of(tables.wide)).text


def test_methods_name_their_intervals_and_speak_of_membership_only_where_it_was_played() -> None:
    text = Document(text_of(tables.generator)).text
    for part in ("Hit rates.", "Clopper-Pearson", "Newcombe", "Equal n.", "Blind adversary."):
        assert part in text
    assert "Operating points are fixed" not in text
    assert "Operating points" in Document(text_of(tables.table)).text


def test_a_game_whose_attacks_did_not_finish_says_so() -> None:
    text = Document(text_of(tables.nothing)).text
    assert text.count("No attack of this game finished.") == 2
    assert "MemoryError: 3 GiB were wanted" in text
    assert "needs 3 columns, and the table has 2" in text


def test_an_audit_of_a_model_speaks_of_no_table() -> None:
    text = page(sample.smallest())
    assert [part for part in ("Rows released", "Hit rates.", "Excess") if part in text] == []


def test_many_releases_fit_a_chart_and_the_rest_is_counted() -> None:
    report = tables.generator()
    (first, *others) = report.attacks
    spread = tuple(tables.size(f"release {i}", 480, 90, 80) for i in range(31))
    text = page(evolve(report, attacks=(evolve(first, spread=spread, success=()), *others)))
    assert "11 more are in report.json." in text
    assert text.count('<th scope="row">release ') == 31


def _only(attack: AttackResult) -> RiskReport:
    """Return the report of tables with one attack, as its first adversary."""
    report = tables.table()
    card = report.adversaries[0]
    return evolve(
        report,
        adversaries=(card,),
        attacks=(evolve(attack, adversary=card.name),),
        findings=tuple(f for f in report.findings if f.family == attack.game)[:1],
    )


def test_a_rate_of_no_claim_is_told_so_and_not_drawn_as_nought() -> None:
    """The surest claims may all be about people in the data: 0 of 0 control people is no rate."""
    attack = tables.linkability(tables.ANYBODY.name)
    sure = attack.success[1]
    none = evolve(sure.control, value=0.0, low=0.0, high=1.0, n=0)
    excess = evolve(sure.excess, value=1.0, low=-0.01, high=1.0)
    points = (attack.success[0], evolve(sure, control=none, excess=excess, likelihood_low=99.0))
    text = page(_only(evolve(attack, success=points)))
    row = next(cells for _, _, label, cells in Rates(text).rows if label == "Surest tenth")
    assert (row["Control people"], row["Excess, points point"]) == ("no claim", "not known")
    assert "control no claim" in text  # of the chart, for who does not see it
    assert "no control claim" in text  # of the chart, for who does
    assert "; none was made for control people." in text


def test_copies_are_summed_up_by_the_kind_that_tells_most() -> None:
    """Where only near copies were found, nothing is seen of exact ones."""
    attack = tables.copies(tables.ANYBODY.name)
    exact = tables.point(0, 0, 4800, blind=0, facet="exact")
    near = tables.point(1090, 120, 4800, blind=120, facet="near")
    view = success.arrange(
        evolve(attack, success=(exact, near, evolve(exact, facet=""))), "success-1-1"
    )
    assert (view.main, view.about) == (near, "near")


def test_single_people_who_are_given_away_are_told_without_a_reach() -> None:
    """The finding has no rate of flagged people: it says how many of those tested it is about."""
    report = tables.table()
    said = "A leak was found. Of the 24 people who are most unlike others, 1 is given away."
    single = Finding(
        family="membership, one person at a time",
        adversary=tables.ANYBODY.name,
        word=Word.WEAK,
        statement=said,
        technical="",
        attacks=("neighbour-ratio",),
        best="neighbour-ratio",
        strength=1.2,
    )
    first = evolve(report.attacks[0], notes=("One person at a time, of the 24: 1 told from luck",))
    text = page(
        evolve(report, findings=(single,), attacks=(first, *report.attacks[1:])),
    )
    assert "<h5>Membership, one person at a time</h5>" in text
    assert said in text
    assert "Reach:" not in text
    assert "<li>One person at a time, of the 24: 1 told from luck</li>" in text
