"""Generators that core fits: targets on the original rows, shadows on halves of the people."""

from contextlib import contextmanager

import fake_tables
import numpy as np
import pytest
import structlog
from attrs import evolve
from fake_tables import Options, load, plan, plugins

from leakpro_core.errors import BadArray, BadValue, MissingKey
from leakpro_core.store import at_work
from leakpro_core.summary import describe
from leakpro_core.tabular.generators import check_fitting, generate

QUIET = structlog.wrap_logger(structlog.ReturnLogger())
HERE = "[execution]\nworkers = 0\n"


def shadows(more: str = "", trainer: str = "rows", count: int = 4) -> str:
    return f'[shadows]\ntrainer = "{trainer}"\ncount = {count}\n{more}\n{HERE}'


@contextmanager
def folder(tmp_path, chosen):
    with at_work(tmp_path / "run", describe(chosen, plugins())) as store:
        yield store


def generated(tmp_path, more: str = "", **options):
    """Return what is generated, and the release that it is for."""
    chosen = plan(tmp_path, "near", more=shadows(more))
    release = load(Options(**options), None)
    with folder(tmp_path, chosen) as store:
        return generate(chosen, release.tables, release.targets, store, None, QUIET), release.tables


def kinds(table) -> set[bytes]:
    return {row.tobytes() for row in table.matrix()}


def test_targets_are_fitted_on_the_original_rows_and_the_first_is_audited(tmp_path):
    made, release = generated(tmp_path, targets=2, people=40)
    assert len(made.release.again) == 1
    assert made.release.synthetic is made.synthetic
    for table in (made.synthetic, *made.release.again):
        assert len(table) == 40
        assert kinds(table) <= kinds(release.original)
    assert kinds(made.synthetic) != kinds(made.release.again[0])


@pytest.mark.parametrize("rows", [7, 300])
def test_they_release_as_many_rows_as_asked_and_shadows_do_too(tmp_path, rows):
    made, _ = generated(tmp_path, targets=1, people=40, rows=rows)
    assert {len(t) for t in (made.synthetic, *made.shadows)} == {rows}


def test_shadows_are_fitted_on_complementary_halves_of_all_people(tmp_path):
    made, release = generated(tmp_path, people=40)
    everybody = np.concatenate([release.original.matrix(), release.control.matrix()])
    assert len(made.shadows) == 4
    assert made.pair.tolist() == [0, 0, 1, 1]
    np.testing.assert_array_equal(made.trained_on[::2], ~made.trained_on[1::2])
    for table, on in zip(made.shadows, made.trained_on, strict=True):
        assert on.sum() == 40
        assert len(table) == len(release.synthetic)
        assert kinds(table) <= {row.tobytes() for row in everybody[on]}


def test_a_person_with_several_rows_is_on_one_side(tmp_path):
    release = load(Options(people=40), None).tables
    twos = evolve(
        release,
        original=evolve(release.original, subjects=np.arange(40) // 2),
        control=evolve(release.control, subjects=100 + np.arange(40) // 2),
    )
    chosen = plan(tmp_path, "near", more=shadows())
    with folder(tmp_path, chosen) as store:
        made = generate(chosen, twos, 0, store, None, QUIET)
    np.testing.assert_array_equal(made.trained_on[:, ::2], made.trained_on[:, 1::2])
    assert {owner for table in made.shadows for owner in table.subjects} <= {
        *range(20), *range(100, 120),
    }  # fmt: skip


def test_fitted_generators_are_kept_and_not_fitted_again(tmp_path):
    first, _ = generated(tmp_path, targets=1, people=40)
    fake_tables.FITTED.clear()
    second, _ = generated(tmp_path, targets=1, people=40)
    assert fake_tables.FITTED == []
    for one, other in zip(first.shadows, second.shadows, strict=True):
        np.testing.assert_array_equal(one.matrix(), other.matrix())


@pytest.mark.parametrize(
    ("wrong", "error", "said"),
    [
        ("shape", BadArray, r"rows that a generator released.*found shape \[4, 40, 5\]"),
        ("names", BadArray, "rows that a generator released.*found none"),
        ("codes", BadValue, "column 'town' that a generator released.*no level"),
    ],
)
def test_rows_that_no_table_has_are_refused(tmp_path, wrong, error, said):
    with pytest.raises(error, match=said):
        generated(tmp_path, f'wrong = "{wrong}"', people=40)


def test_without_a_trainer_there_is_no_release(tmp_path):
    release = load(Options(targets=1), None).tables
    with pytest.raises(MissingKey, match=r"\[shadows\]: found nothing"):
        check_fitting(plan(tmp_path, "near"), release)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (shadows(trainer="models"), "'models', which trains models"),
        (shadows('pool = "auxiliary"'), '"auxiliary", and no auxiliary rows'),
    ],
)
def test_trainers_and_pools_that_cannot_be_are_refused(tmp_path, more, said):
    release = load(Options(auxiliary=False), None).tables
    with pytest.raises(BadValue, match=said):
        check_fitting(plan(tmp_path, "near", more=more), release)


def test_without_shadows_nothing_is_fitted(tmp_path):
    release = load(Options(), None).tables
    chosen = plan(tmp_path, "near")
    with folder(tmp_path, chosen) as store:
        made = generate(chosen, release, 0, store, None, QUIET)
    assert (made.shadows, made.trained_on.shape) == ((), (0, 240))
    assert made.synthetic is release.synthetic


def test_an_audit_of_generators_tells_the_spread_over_them(tmp_path):
    report = fake_tables.audit(
        tmp_path, "every_row", target="targets = 3\npeople = 60", more=shadows(count=2)
    )
    (result,) = report.attacks
    assert [p.label for p in result.spread] == ["this release", "release 2", "release 3"]
    assert report.target.scope == "this table, beside 2 other releases"
    assert report.adversaries[0].shadows == 2
