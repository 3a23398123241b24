"""Faults of other tools that must not be repeated here: one test each, by name, end to end.

Attacks answer, referees compare, the judge measures; the last ones run whole audits of files.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from attrs import asdict, evolve
from leakpro_sdv.plugin import leakpro_attacks
from planted import mixed, shuffled

from leakpro_core.audit import run
from leakpro_core.draft import read
from leakpro_core.errors import LeakProError
from leakpro_core.games.samples import TableStage
from leakpro_core.judge import Judged, JudgedSuccess
from leakpro_core.offers import Access
from leakpro_core.parser import resolve as parsed
from leakpro_core.plan import Adversary, ChosenAttack, Games, Policy
from leakpro_core.plugins import Offered, PluginSet
from leakpro_core.references import resolve
from leakpro_core.report import RiskReport, SuccessPoint
from leakpro_core.tabular.people import most_vulnerable
from leakpro_core.tabular.play import TableScene, play
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix, stacked
from leakpro_core.tabular.weigh import Verdicts, judged
from leakpro_core.testing.conformance import SilentLog
from leakpro_core.vetting.registry import Registry

OFFERS = {offer.name: offer for offer in leakpro_attacks()}
SINGLING_OUT = ("single-column", "multi-column", "tree")


def audited(
    names: Sequence[str],
    original: Table,
    control: Table,
    released: Table,
    *,
    auxiliary: Table | None = None,
    rounds: int = 400,
    secrets: tuple[str, ...] = (),
    left: tuple[str, ...] = (),
) -> Verdicts:
    """Play attacks on a release as core does, and judge them."""
    tenth = most_vulnerable(original, control, 0)
    scene = TableScene(
        stage=TableStage(
            released=evolve(released, subjects=np.arange(len(released))),
            original=original,
            control=control,
            auxiliary=auxiliary,
            tenth_original=tenth[0],
            tenth_control=tenth[1],
            rounds=rounds,
        ),
        adversary=Adversary(access=Access.SAMPLES),
        games=Games(rounds=rounds, secrets=secrets, left=left),
        seed=0,
        log=SilentLog(),
    )
    played = [play(scene, chosen(name)) for name in names]
    assert ["finished"] * len(names) == [p.status for p in played]
    return judged(played, Policy(), 0)[0]


def chosen(name: str) -> ChosenAttack:
    """Return an attack with its defaults."""
    offer = OFFERS[name]
    return ChosenAttack(
        label=name,
        offered=Offered(offer=offer, plugin="leakpro-sdv", version="0"),
        options=None if offer.options is None else resolve(offer.options)(),
        named=False,
    )


def success(found: Verdicts, name: str) -> JudgedSuccess:
    return next(one for one in found.successes if one.label == name)


def detection(found: Verdicts, name: str) -> Judged:
    return next(one for one in found.detections if one.label == name)


def point(found: Verdicts, name: str, coverage: str = "all claims") -> SuccessPoint:
    """Return an attack's point of all facets together."""
    points = success(found, name).points
    return next(p for p in points if (p.facet, p.coverage) == ("", coverage))


def numbers(matrix: np.ndarray, first: int = 0) -> Table:
    """Return a table of number columns a, b, ..., a person each row, numbered from ``first``."""
    columns = tuple(
        Column(name=name, kind=Kind.NUMERIC) for name in "abcdefghijkl"[: matrix.shape[1]]
    )
    return from_matrix(columns, matrix, first + np.arange(len(matrix)))


# Rates


def test_a_control_smaller_than_the_original_is_compared_at_equal_n() -> None:
    """No leak at all read as .043, .080 and .090 at control 2400, 1000 and 500 of 4800."""

    def people(n: int, rng: np.random.Generator, first: int = 0) -> Table:
        # Columns that say the same: predicates look lighter than they are, and isolate by luck.
        same = rng.integers(0, 3000, n)
        return numbers(np.column_stack([same, 2 * same, same + 7, rng.integers(0, 9, n)]), first)

    for size in (480, 200, 100):
        excess, raw = [], []
        for seed in range(2):
            rng = np.random.default_rng([seed, size])
            original, control = people(960, rng), people(size, rng, first=960)
            p = point(
                audited(["multi-column"], original, control, people(960, rng)), "multi-column"
            )
            excess.append(p.excess.value * size / 960)
            # What isolates somebody in each table as it is.
            raw.append(p.exposed.value - p.control.value * size / 960)
        assert abs(np.mean(excess)) < 0.02
        assert np.mean(raw) > 0.04


def test_rates_are_of_claims_made_not_of_claims_asked_for() -> None:
    """The same 18 successes read as .192, .040 or .010."""
    rng = np.random.default_rng(0)
    original, control = mixed(200, rng), mixed(200, rng, first=200)
    released = stacked([original.rows(np.arange(20)), mixed(20, rng)])
    many = (4000, 8000, 40_000)
    found = [
        audited(["single-column"], original, control, released, rounds=rounds) for rounds in many
    ]
    one, p = success(found[0], "single-column"), point(found[0], "single-column")
    assert one.made < 200
    for again, asked in zip(found, many, strict=True):
        same = success(again, "single-column")
        assert (same.made, same.asked) == (one.made, asked)
        assert point(again, "single-column").exposed == p.exposed
    assert p.exposed.value > 0.15


def test_a_negative_guess_is_no_hit_by_its_sign() -> None:
    """A tolerance divided by the signed guess made every negative guess a hit."""
    rng = np.random.default_rng(1)
    people = np.column_stack([rng.normal(size=(900, 2)), rng.normal(100.0, 30.0, 900)])
    rates = []
    for sign in (1.0, -1.0):
        whole = numbers(people * [1.0, 1.0, sign])
        arms = (whole.rows(np.arange(900) // 300 == i) for i in range(3))
        found = audited(["nearest-rows"], *arms, secrets=("c",))
        rates.append(point(found, "nearest-rows").exposed.value)
    # Within a twentieth of the range: about 9 of 100 by luck.
    assert 0.04 < rates[0] < 0.16
    assert rates[1] == pytest.approx(rates[0], abs=0.02)


def test_the_baseline_guesses_about_the_same_people() -> None:
    """Misaligned by index, a baseline of .50 read as .05."""
    rng = np.random.default_rng(2)
    levels = tuple(map(str, range(20)))
    columns = tuple(Column(name=name, kind=Kind.CATEGORICAL, levels=levels) for name in ("a", "b"))
    a = rng.integers(0, 20, 1600)
    b = np.where(rng.random(1600) < 0.5, a, rng.integers(0, 20, 1600))
    whole = from_matrix(columns, np.column_stack([a, b]).astype(float))
    arms = [whole.rows(np.arange(1600) // 400 == i) for i in range(4)]
    for order in (np.arange(400), rng.permutation(400)):
        found = audited(
            ["nearest-rows"], arms[0].rows(order), *arms[1:3], auxiliary=arms[3], secrets=("b",)
        )
        p = point(found, "nearest-rows")
        assert p.blind is not None
        assert p.over_blind is not None
        assert p.blind.value == pytest.approx(0.525, abs=0.08)
        assert abs(p.over_blind.value) < 0.08


def test_rounds_of_one_person_are_one_unit() -> None:
    """Taken as independent, 2, 5 and 10 rounds a record let a 95% interval cover .83, .60, .52."""
    rng = np.random.default_rng(3)
    arms = mixed(120, rng), mixed(120, rng, first=120)
    released = stacked([arms[0].rows(np.arange(40)), mixed(80, rng)])
    widths = {}
    for each in (1, 5):
        original, control = (arm.rows(np.repeat(np.arange(120), each)) for arm in arms)
        found = audited(
            ["nearest-rows"], original, control, released, secrets=("number 0", "code 0")
        )
        p = point(found, "nearest-rows")
        assert (p.exposed.n, p.control.n, p.excess.n) == (120, 120, 240)
        widths[each] = p.excess.high - p.excess.low
    assert widths[5] == pytest.approx(widths[1], rel=0.02)


def test_an_excess_below_0_is_told() -> None:
    """Clipped at 0, a control that leaks looks like no leak."""
    rng = np.random.default_rng(4)
    original, control = mixed(300, rng), mixed(300, rng, first=300)
    released = stacked([control.rows(np.arange(100)), mixed(200, rng)])
    found = audited(
        ["linkability", "copies", "nearest-rows", "distance"], original, control, released
    )
    for name in ("linkability", "copies"):
        assert point(found, name).excess.high < -0.15
        assert point(found, name).risk.value < -0.2
        assert not success(found, name).detected
    assert point(found, "nearest-rows").excess.value < 0.0
    assert detection(found, "distance").auc.high < 0.5


def test_identical_twins_are_not_singled_out() -> None:
    """Where originals are de-duplicated first, people with an identical twin count."""
    rng = np.random.default_rng(5)
    single, control = mixed(120, rng), mixed(240, rng, first=240)
    twins = stacked([single, evolve(single, subjects=120 + single.subjects)])
    for original, least, most in ((twins, 0.0, 0.0), (single, 0.3, 1.0)):
        found = audited(SINGLING_OUT, original, control, single)
        for name in SINGLING_OUT:
            assert least <= point(found, name).exposed.value <= most


# Distances


def test_missing_values_do_not_hide_a_copy() -> None:
    """A verbatim copy read as linkability .59 with half of the values missing."""
    rng = np.random.default_rng(6)
    values = rng.normal(size=(400, 12))
    values[rng.random(values.shape) < 0.5] = np.nan
    original, control = numbers(values[:200]), numbers(values[200:], 200)
    found = audited(["linkability", "distance"], original, control, shuffled(original, rng))
    # In one of 64 halves there is nothing.
    assert point(found, "linkability").exposed.value > 0.95
    assert point(found, "linkability").control.value < 0.05
    assert detection(found, "distance").auc.value > 0.97


def test_ties_are_not_broken_by_sort_order() -> None:
    """A verbatim copy read as linkability .004 with a binary column."""
    rng = np.random.default_rng(7)
    names = ("number 0", "number 1", "code 0", "binary")
    original, control = (mixed(200, rng, first=first).only(names) for first in (0, 200))
    by_binary = original.rows(np.argsort(original.values[-1], kind="stable"))
    for left, expected in ((("number 0", "binary"), 1.0), (("binary",), 0.01)):
        found = audited(["linkability"], original, control, by_binary, left=left)
        p = point(found, "linkability")
        # Of a binary half alone, a hundred people tie.
        assert p.exposed.value == pytest.approx(expected, abs=0.006)
        assert p.control.value < 0.03


def test_distance_to_the_closest_record_finds_copies_that_its_median_misses() -> None:
    """With 20% verbatim copies the median of the set said "no leak" (.385 -> .331)."""
    rng = np.random.default_rng(8)
    original, control = mixed(600, rng), mixed(600, rng, first=600)
    released = stacked([original.rows(np.arange(120)), mixed(480, rng)])
    found = detection(audited(["distance"], original, control, released), "distance")
    assert found.auc.value == pytest.approx(0.6, abs=0.04)
    tpr = next(p.tpr for p in found.points if (p.kind, p.level) == ("fpr", 0.01))
    assert 0.19 < tpr.value < 0.24
    assert found.detected
    # Those in the middle of either arm are as far from the release.
    assert 0.4 < next(p.tpr.value for p in found.points if p.kind == "fnr") < 1.0


def test_outliers_do_not_hide_in_the_average() -> None:
    """Where only the people unlike others are copied, their tenth is told apart."""
    rng = np.random.default_rng(9)
    wide = np.ones((1000, 1))
    wide[::10] = 6.0
    original, control, others = (
        numbers(rng.normal(size=(1000, 6)) * wide, first) for first in (0, 1000, 2000)
    )
    released = others.matrix()
    released[::10] = original.matrix()[::10]
    found = audited(["linkability"], original, control, numbers(released), rounds=1000)
    assert 0.08 < point(found, "linkability").excess.value < 0.12
    assert point(found, "linkability", "most vulnerable tenth").excess.low > 0.7


# Whole audits of files


PLAN = """
schema = 1
seed = {seed}
[target]
loader = "table"
synthetic = "synthetic.csv"
original = "original.csv"
control = "control.csv"
[[adversary]]
access = "samples"
[controls]
blind = false
[games]
rounds = 300
secrets = ["mixed"]
planted = [0.2]
[report]
formats = ["json"]
"""
ATTACKS = (*SINGLING_OUT, "linkability", "nearest-rows", "boosted", "distance", "copies")
DRAWN = ("multi-column", "linkability", "nearest-rows")
"""Attacks that draw."""


def files(
    folder: Path, *, control: int = 60, released: str = "{:d}", odd: tuple[str, str] | None = None
) -> Path:
    """Write tables of dates, apostrophes, a mixed column, and numbers that are text elsewhere.

    odd: a column and what stands in the first released row there.
    """
    rng = np.random.default_rng(10)
    for name, n in (("original", 120), ("control", control), ("synthetic", 100)):
        rows = ["age,born,town,mixed,postcode"]
        for i in range(n):
            postcode = int(rng.integers(1000, 9999))
            row = {
                "age": str(rng.integers(18, 90)),
                "born": f"19{rng.integers(10, 99)}-0{rng.integers(1, 9)}-11",
                "town": rng.choice(["L'Aquila", "O'Fallon", 'Rome, "N.Y."', ""]),
                "mixed": rng.choice(["7", "7.5", "seven", "none"]),
                "postcode": (released if name == "synthetic" else "{:d}").format(postcode),
            }
            if odd is not None and name == "synthetic" and i == 0:
                row |= [odd]
            rows.append(",".join('"' + v.replace('"', '""') + '"' for v in row.values()))
        (folder / f"{name}.csv").write_text("\n".join(rows) + "\n")
    return folder


def of_files(
    folder: Path, attacks: Sequence[str], *, seed: int = 0, kinds: str = "", run_in: str = "run"
) -> RiskReport:
    """Run a whole audit of the files."""
    path = folder / "audit.toml"
    text = PLAN.format(seed=seed).replace("[[adversary]]", f"{kinds}\n[[adversary]]")
    path.write_text(text + "".join(f'[[attacks]]\nname = "{name}"\n' for name in attacks))
    installed = PluginSet.find(Registry())
    return run(parsed(read(path), installed), installed, folder / run_in)


def test_the_seed_of_the_plan_decides_everything(tmp_path: Path) -> None:
    """There was no seed."""
    files(tmp_path)
    reports = [
        of_files(tmp_path, DRAWN, seed=seed, run_in=f"{i}") for i, seed in enumerate((1, 1, 2))
    ]
    one, same, other = (
        asdict(evolve(r, provenance=evolve(r.provenance, started="", seconds=0.0))) for r in reports
    )
    assert one == same
    assert one["attacks"] != other["attacks"]


@pytest.mark.parametrize(("control", "released"), [(60, "{:d}"), (24, "{:d}.0")])
def test_odd_columns_and_fewer_control_people_than_attacks_work(
    tmp_path: Path, control: int, released: str
) -> None:
    """Datetimes, apostrophes, int against str, mixed columns and a small control crashed."""
    report = of_files(files(tmp_path, control=control, released=released), ATTACKS)
    assert ["finished"] * len(ATTACKS) == [
        a.status for a in report.attacks if a.attack != "selected"
    ]
    kinds = dict(report.data.columns)
    assert (kinds["born"], kinds["town"], kinds["mixed"]) == (
        "datetime",
        "categorical",
        "categorical",
    )


@pytest.mark.parametrize(
    ("column", "kind", "value"),
    [("age", "numeric", "forty"), ("born", "datetime", "yesterday"), ("town", "boolean", "Rome")],
)
def test_what_cannot_work_names_its_column(
    tmp_path: Path, column: str, kind: str, value: str
) -> None:
    files(tmp_path, odd=(column, value))
    with pytest.raises(LeakProError, match=f'column "{column}"'):
        of_files(tmp_path, DRAWN, kinds=f'columns = {{ {column} = "{kind}" }}')


def test_numbers_that_are_other_text_in_the_release_name_their_column(tmp_path: Path) -> None:
    files(tmp_path, released="A{:d}")
    with pytest.raises(LeakProError, match='column "postcode": found numbers in original'):
        of_files(tmp_path, DRAWN)
