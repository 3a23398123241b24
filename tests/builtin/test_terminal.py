"""report.txt of audits with success games: rates of both arms, and nothing rounded inwards."""

import re
from pathlib import Path

import pytest
from attrs import evolve

from leakpro_core.builtin.terminal import WIDTH, render
from leakpro_core.records import Estimate
from leakpro_core.report import (
    AttackResult,
    Card,
    DataSummary,
    PolicySummary,
    Provenance,
    RiskReport,
    SuccessPoint,
    TargetSummary,
    Word,
)


def estimate(value: float, low: float, high: float, n: int = 2000) -> Estimate:
    return Estimate(value=value, low=low, high=high, confidence=0.95, n=n, method="any")


def point(
    exposed: float,
    control: float,
    *,
    facet: str = "",
    coverage: str = "all claims",
    strength: float = 0.4567,
    blind: float | None = None,
) -> SuccessPoint:
    """A point whose intervals have more digits than are printed."""

    def around(rate: float) -> Estimate:
        return estimate(rate, max(rate - 0.01234, 0.0), min(rate + 0.01234, 1.0))

    excess = estimate(exposed - control, exposed - control - 0.02345, exposed - control + 0.02345)
    return SuccessPoint(
        facet=facet,
        coverage=coverage,
        exposed=around(exposed),
        control=around(control),
        blind=None if blind is None else around(blind),
        excess=excess,
        over_blind=None,
        risk=excess,
        excess_high=excess.high,
        likelihood_low=strength,
    )


def attack(label: str, *points: SuccessPoint, **more: object) -> AttackResult:
    given = {"game": "attribute-inference", "p_value": 0.0312, "asked": 2000, "made": 1900}
    return AttackResult(
        label=label,
        attack=label,
        plugin="leakpro-sdv",
        version="1.0.0",
        adversary="reader",
        summary="",
        reference="",
        success=points,
        **(given | {"people": 77} | more),  # type: ignore[arg-type]
    )


def detection(label: str) -> AttackResult:
    return evolve(attack(label), game="membership", auc=estimate(0.5, 0.48, 0.52), people=None)


def report(*attacks: AttackResult) -> RiskReport:
    return RiskReport(
        name="a table",
        status="complete",
        word=Word.WEAK,
        statement="A leak is detectable.",
        exit_code=1,
        target=TargetSummary(
            kind="table", description="", identity="", parameters=None, models=1, scope="this table"
        ),
        data=DataSummary(
            candidates=2,
            members=1,
            nonmembers=1,
            subjects=2,
            auxiliary=0,
            classes=0,
            modality="tabular",
            sampling="all",
        ),
        policy=PolicySummary(
            confidence=0.95,
            tolerance=((0.01, 0.03),),
            tenth_tolerance=(),
            headline=None,
            mandatory=(),
        ),
        adversaries=(
            Card(
                name="reader",
                label="realistic",
                access="samples",
                top_k=None,
                decimals=None,
                queries=None,
                queries_used=0,
                knows=(),
                shadows=0,
            ),
        ),
        findings=(),
        attacks=attacks,
        controls=(),
        not_tested=(),
        limits=(),
        provenance=Provenance(
            command="",
            plan_sha256="",
            seed=0,
            tool="",
            versions=(),
            plugins=(),
            registry="",
            registry_sha256="",
            vetting="off",
            evidence_sha256="",
        ),
    )


def lines_of(tmp_path: Path, *attacks: AttackResult) -> list[str]:
    (path,) = render(report(*attacks), tmp_path, None)
    return path.read_text().splitlines()


def test_hit_rates_of_a_point_stand_beside_one_another_rounded_outwards(tmp_path: Path) -> None:
    shown = point(0.30001, 0.20002, blind=0.10003)
    lines = lines_of(tmp_path, attack("boosted", shown))
    at = next(i for i, line in enumerate(lines) if line.startswith("boosted "))
    assert shown.blind is not None
    expected = (shown.exposed, shown.control, shown.blind, shown.excess)
    values = [float(part) for part in lines[at].split()[1:5]]
    limits = re.findall(r"\[([-+\d.]+), ([-+\d.]+)\]", lines[at + 1])
    assert lines[at].split()[1:] == ["0.300", "0.200", "0.100", "+0.100", "0.45", "0.031"]
    assert lines[at + 1].startswith("  all claims ")
    for rate, value, (low, high) in zip(expected, values, limits, strict=True):
        assert abs(rate.value - value) <= 0.0005
        assert rate.low - 0.001 < float(low) <= rate.low
        assert rate.high <= float(high) < rate.high + 0.001


def test_an_excess_below_zero_is_shown_below_zero(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, attack("boosted", point(0.2, 0.25)))
    assert any("-0.050" in line for line in lines)
    assert any("[-0.074, -0.026]" in line for line in lines)


def test_of_many_facets_only_the_worst_is_shown(tmp_path: Path) -> None:
    facets = [
        point(0.5, 0.4, facet="age"),
        point(0.9, 0.4, facet="zip", strength=0.2),
        point(0.2, 0.1, facet="occupation & trade of the person's parents", strength=3.219),
    ]
    lines = lines_of(tmp_path, attack("boosted", point(0.4, 0.3), *facets))
    text = " ".join(" ".join(lines).split())
    assert "worst: occupation &" in text
    assert "3.21" in text
    assert "age" not in text.partition("attack ")[2].partition("Intervals")[0]
    assert "zip" not in text


def test_copies_are_summed_up_by_the_kind_that_tells_most(tmp_path: Path) -> None:
    exact = point(0.0, 0.0, strength=0.0)
    near = point(0.6, 0.1, facet="near", strength=3.219)
    points = (exact, evolve(exact, coverage="surest tenth"), evolve(exact, facet="exact"), near)
    lines = lines_of(tmp_path, attack("copies", *points, game="copies"))
    names = ("near", "exact", "exact, surest tenth")
    told = [line for line in lines if line.startswith(("  near", "  exact"))]
    assert list(names) == [line.partition("[")[0].partition("0.")[0].strip() for line in told]
    at = next(i for i, line in enumerate(lines) if line.startswith("copies "))
    assert lines[at].split()[1:] == ["0.600", "0.100", "+0.500", "3.21", "0.031"]


def test_a_rate_of_no_claim_is_no_number(tmp_path: Path) -> None:
    nothing = estimate(0.0, 0.0, 1.0, n=0)
    unknown = evolve(point(0.2, 0.1, blind=0.3), control=nothing, blind=nothing)
    lines = lines_of(tmp_path, attack("linkability", unknown, game="linkability"))
    at = next(i for i, line in enumerate(lines) if line.startswith("linkability "))
    told = ["linkability", "0.200", "no", "claim", "no", "claim", "not", "known", "0.45", "0.031"]
    assert told == lines[at].split()
    assert "[0.000, 1.000]" not in "\n".join(lines)


def test_every_coverage_over_all_facets_is_shown_and_p_once(tmp_path: Path) -> None:
    names = ("all claims", "surest tenth", "most vulnerable tenth")
    lines = lines_of(tmp_path, attack("boosted", *(point(0.4, 0.3, coverage=n) for n in names)))
    assert list(names) == [n for line in lines for n in names if line.startswith(f"  {n}")]
    assert sum("0.031" in line for line in lines) == 1


@pytest.mark.parametrize(
    ("attacks", "tables"),
    [
        ((detection("distance"), attack("boosted", point(0.4, 0.3))), (True, True)),
        ((attack("boosted", point(0.4, 0.3)),), (False, True)),
        ((detection("distance"),), (True, False)),
        ((), (False, False)),
    ],
)
def test_there_is_a_table_of_membership_only_where_it_was_played(
    tmp_path: Path, attacks: tuple[AttackResult, ...], tables: tuple[bool, bool]
) -> None:
    text = "\n".join(lines_of(tmp_path, *attacks))
    assert tables == ("AUC" in text, "excess" in text)
    assert tables == ("a TPR and its FPR have one threshold" in text, "Excess: data" in text)


def test_notes_of_an_attack_of_membership_are_told(tmp_path: Path) -> None:
    told = lines_of(tmp_path, evolve(detection("shadows"), notes=("Nobody is given away",)))
    assert "shadows: Nobody is given away." in told


def test_claims_people_and_exhibits_are_told(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, attack("copies", point(0.2, 0.0), exhibits="exhibits/copies.html"))
    said = "copies: 1,900 of 2,000 claims made, true about 77 distinct people in the data, some in"
    assert f"{said} exhibits/copies.html (personal data)." in " ".join(" ".join(lines).split())


def test_an_attack_with_too_few_claims_says_so(tmp_path: Path) -> None:
    lines = lines_of(tmp_path, attack("boosted", made=3, people=0))
    assert any("too few claims" in line for line in lines)
    assert "boosted: 3 of 2,000 claims made, true about 0 distinct people in the data." in lines


def test_a_chance_that_is_known_is_exact(tmp_path: Path) -> None:
    known = evolve(point(0.2, 0.1), control=estimate(0.1, 0.1, 0.1, n=0))
    lines = lines_of(tmp_path, attack("boosted", known))
    assert any(line.startswith("  all claims") and "exact" in line for line in lines)


def test_no_name_steers_the_terminal_or_widens_the_report(tmp_path: Path) -> None:
    evil = "x" * 150 + "\x1b[2J\n<b>"
    found = attack(evil, point(0.3, 0.2), point(0.3, 0.2, facet=evil), exhibits=evil)
    lines = lines_of(tmp_path, found)
    assert max(map(len, lines)) <= WIDTH
    assert not any("\x1b" in line for line in lines)
