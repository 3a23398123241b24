"""Audits of clients' updates: the page says what the report says, and says it of batches."""

import re
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise

import pytest
import updates
from attrs import evolve
from leakpro_html import facets
from leakpro_html.render import page
from leakpro_html.told import game
from test_page import Document
from test_tables import Rates, _agrees, _numbers

from leakpro_core.games import gradient_inversion
from leakpro_core.report import (
    AttackResult,
    Certified,
    RiskReport,
    SuccessPoint,
    from_json,
    to_json,
)

Sample = Callable[[], RiskReport]
WORDS = game("gradient-inversion")


@cache
def text_of(make: Sample) -> str:
    return page(make())


@cache
def read(make: Sample) -> Document:
    return Document(text_of(make))


def words_of(make: Sample) -> str:
    return read(make).text


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
                if (a.adversary, a.status, a.game) == (card.name, "finished", updates.INVERSION)
            ),
            1,
        )
    }
    for anchor, _, label, cells in Rates(text_of(make)).rows:
        if cells.get("Excess, points"):
            attack = attacks[anchor]
            (point,) = (p for name, p in facets.lines(attack, WORDS) if name == label)
            yield attack, point, cells


@pytest.mark.parametrize("make", [updates.leak, updates.not_found])
def test_every_figure_of_the_page_is_that_of_the_report(make: Sample) -> None:
    rows = list(_shown(make))
    for _, point, cells in rows:
        _agrees(point.exposed, cells, "Clients' batches")
        _agrees(point.control, cells, "Decoy batches")
        _agrees(point.excess, cells, "Excess, points")
        assert point.blind is not None
        assert point.over_blind is not None
        _agrees(point.blind, cells, "Blind adversary")
        _agrees(point.over_blind, cells, "Over blind, points")
        (bound,) = _numbers(cells["Excess, at most"])
        assert point.excess_high - 1e-9 <= bound <= point.excess_high + 0.1
        assert (point.null_p is None) == (cells.get("By luck", "not known") == "not known")
    # Over all claims the report has the first kind twice, and the page once.
    expected = {
        (a.label, a.adversary, facets.kind(a, p, WORDS), p.coverage)
        for a in make().attacks
        for p in a.success
    }
    shown = [(a.label, a.adversary, facets.kind(a, p, WORDS), p.coverage) for a, p, _ in rows]
    assert expected == set(shown)
    assert len(shown) == len(set(shown))


def test_an_attack_with_one_kind_of_claims_is_told_by_that_kind() -> None:
    attacks = {a.label: a for a in updates.leak().attacks if a.adversary == updates.SERVER.name}
    assert facets.first(attacks["labels"], WORDS) == gradient_inversion.LABELS
    assert facets.first(attacks["exact"], WORDS) == gradient_inversion.IDENTIFIED
    alone = updates.played("inversion", updates.SERVER, updates.claimed((9, 3, 3))[:2])
    assert facets.first(alone, WORDS) == gradient_inversion.IDENTIFIED
    assert facets.first(evolve(alone, success=()), WORDS) == ""


def test_every_kind_that_the_game_has_is_told() -> None:
    kinds = {gradient_inversion.IDENTIFIED, gradient_inversion.RECOVERED, gradient_inversion.LABELS}
    assert kinds == set(WORDS.facets)


def test_batches_are_named_and_counted() -> None:
    text = words_of(updates.leak)
    assert "Clients' batches 40 of 8 records" in text
    assert "Decoys beside each 100" in text
    assert "rates by Clopper-Pearson over batches" in text
    assert "over people" not in text
    assert "Made: 300 of 320 reconstructions that were asked for" in text
    assert "Made: 320 of 320 labels that were asked for" in text
    assert "Batches about which a claim came true: 39." in text


@pytest.mark.parametrize("make", updates.SAMPLES)
def test_no_word_of_other_audits_is_used(make: Sample) -> None:
    other = (
        r"people in the data|control people|released rows?\b|rows released|the release\b|shadow"
        r"|placebo|quer(?:y|ies)|training data were tested|members tested|Equal n|\bR, %"
    )
    text = words_of(make).replace("Keep it as the training data are kept", "")
    assert re.findall(other, text, re.IGNORECASE) == []
    charts = " ".join(re.findall(r"<(?:desc|text)[^>]*>(.*?)</", text_of(make)))
    assert re.findall(other, charts, re.IGNORECASE) == []


def test_charts_name_clients_batches_and_kinds_of_claims() -> None:
    charts = " ".join(re.findall(r"<text[^>]*>(.*?)</text>", text_of(updates.leak)))
    for part in ("clients' batches", "exact: identified", "labels: labels", "recovered"):
        assert part in charts


def test_the_answer_says_in_words_what_came_true() -> None:
    answer = words_of(updates.leak).partition("Who the adversaries are")[0]
    assert (
        "Of 1,000 reconstructions, 910 to 1,000 are nearest to a record of the client's batch, "
        "and 10 to 210 to one of a batch of decoys." in answer
    )
    assert "Of 1,000 records of a client's batch, 860 to 1,000 are recovered, and 0 to" in answer


def test_bounds_stand_beside_what_is_tolerated() -> None:
    answer = words_of(updates.not_found).partition("Who the adversaries are")[0]
    assert (
        "Of 100 reconstructions, up to 5 more could still be nearest to a record of the client's "
        "batch than to one of a batch of decoys; the policy tolerates 10." in answer
    )
    assert "up to 1 more could still be recovered than of a batch of decoys" in answer
    assert "Of 100 labels, up to 18 more could still be right about the client's batch" in answer


def test_a_wrong_certificate_is_said_loudly() -> None:
    text = text_of(updates.leak)
    assert len(re.findall(r'<p class="alarm"><strong>Wrong certificates\.</strong>', text)) == 1
    said = words_of(updates.leak)
    assert "By the clients' batches 5 of them are right, and 2 are wrong" in said
    assert "no certificate of this attack may be believed" in said
    assert '<small class="alarmed">2 certificates wrong</small>' in text
    lawyers = text[: text.index('class="part"')]
    assert '<li class="alarm"><strong>Certificates (curious server): failed.</strong>' in lawyers


def test_certificates_that_are_right_or_cannot_be_compared_are_no_alarm() -> None:
    text = words_of(updates.leak)
    assert "The attack certified 312 reconstructions as what, by its own account" in text
    assert "By the clients' batches 312 of them are right, and none is wrong." in text
    assert 'class="alarm"' not in text_of(updates.unjudged)
    assert "23 are of batches that were not given" in words_of(updates.unjudged)


def test_one_of_each_is_told_in_the_singular() -> None:
    report = updates.leak()
    attack = evolve(
        updates.played("exact", updates.SERVER, ()),
        certified=Certified(right=1, wrong=1, unjudged=1),
    )
    text = Document(page(evolve(report, attacks=(attack,), findings=()))).text
    assert "1 of them is right, and 1 is wrong" in text
    assert "1 is of batches that were not given, so that nobody can compare it" in text
    assert "1 certificate wrong" in text


def test_without_its_batch_an_attack_is_not_judged_and_not_called_harmless() -> None:
    text = words_of(updates.unjudged)
    assert "<strong>No leak was detected</strong>" not in text_of(updates.unjudged)
    assert text.count("Not judged by rates : no batch was given") == 2
    assert "exact Gradient inversion not judged none: no batch can be judged" in text
    assert "Decoys none, so no reconstruction could be judged" in text
    assert "Clients' batches 3 of unknown size" in text
    assert "The statement is about 3 updates that were received; it says nothing about" in text


def test_how_reconstructions_look_is_told_readably_and_decides_nothing() -> None:
    text = words_of(updates.leak)
    assert "so that nothing is decided by it" in text
    assert "is told and shown, and decides nothing" in text
    assert "PSNR (dB) 91.8 to 94.4 93.1, n = 40 11.3 to 11.7 11.5, n = 40" in text
    assert "PSNR (dB) \u22122.49 to \u22120.01 \u22121.25, n = 40" in text
    assert "RMSE 0 to 0.000001 less than 0.000001, n = 40 none" in text
    assert "differs from the one that was sent by less than 0.000001 of its length" in text
    assert "sent by 0.0669 to 0.0755 of its length (0.0712), on average over 40" in text
    # A distance is not below nothing, though an interval about its mean may be.
    assert "sent by 0 to 0.124 of its length (0.0512), on average over 40" in text
    assert "sent by 0.213 of its length, in one batch." in words_of(updates.unjudged)
    assert re.findall(r"\d[eE][-\u2212+]\d", text) == []


def test_the_lawyers_part_has_no_p_value_of_an_attack_and_no_area() -> None:
    text = text_of(updates.leak)
    part = Document(text[text.index("<main>") : text.index('class="part"')]).text
    assert re.findall(r"\bAUC\b|\bROC\b|\bL\b", part) == []
    assert "whoever runs the server" in part


def test_terms_of_membership_are_explained_only_where_it_is_played() -> None:
    with_it, without = (
        words_of(make).partition(" Glossary ")[2].rpartition(" Glossary ")[2]
        for make in (updates.leak, updates.not_found)
    )
    for term in ("Federated learning, update", "Decoys", "Identified", "Certificate", "Residual"):
        assert term in with_it
        assert term in without
    assert "True-positive rate" in with_it
    assert "True-positive rate" not in without
    assert "No membership attack was part of this audit." in words_of(updates.not_found)


def test_the_page_is_a_function_of_the_json() -> None:
    again = page(from_json(to_json(updates.unjudged())))
    assert text_of(updates.unjudged) == again


@pytest.mark.parametrize("make", updates.SAMPLES)
def test_structure_links_and_tables_are_sound(make: Sample) -> None:
    text = text_of(make)
    document = read(make)
    ids = [str(a["id"]) for _, a in document.tags if "id" in a]
    assert len(set(ids)) == len(ids)
    used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)|aria-labelledby="([^"]+)"', text)
    assert {name for group in used for one in group for name in one.split()} - set(ids) == set()
    levels = [int(tag[1]) for tag, _ in document.tags if re.fullmatch("h[1-6]", tag)]
    assert [pair for pair in pairwise(levels) if pair[1] > pair[0] + 1] == []
    assert len(document.all("table")) == len(document.all("caption"))
    for tag in ("p", "li", "ul", "td", "th", "tr", "table", "section", "article", "div"):
        assert len(re.findall(rf"<{tag}[ >]", text)) == text.count(f"</{tag}>"), tag
    assert re.findall(r"<p[^>]*>\s*</p>", text) == []


@pytest.mark.parametrize("make", updates.SAMPLES)
def test_only_exhibits_are_linked_and_none_is_inlined(make: Sample) -> None:
    document = read(make)
    assert document.all("script", "link", "iframe", "object", "embed", "img", "base", "form") == []
    links = [a["href"] or "" for a in document.all("a")]
    outward = [link for link in links if not link.startswith("#")]
    assert [x for x in outward if not re.fullmatch(r"exhibits/[\w.%@+() -]+\.html", x)] == []
    assert text_of(make).count("<strong>That file holds personal data.</strong>") == len(outward)


def test_names_of_measures_notes_and_reasons_stay_text() -> None:
    text = text_of(updates.hostile)
    assert "<script" not in text
    assert 'href="javascript' not in text
    assert text.count("&lt;script&gt;") > 10
    assert "{{ 7*7 }}" in text


@pytest.mark.parametrize("make", [s for s in updates.SAMPLES if s is not updates.hostile])
def test_no_number_is_missing_and_no_word_promises_too_much(make: Sample) -> None:
    forbidden = r"\b(nan|inf|none none|safe|safely|anonymous|compliant|undefined)\b"
    assert re.findall(forbidden, words_of(make).lower()) == []
