"""Audits of tables by the command line: a right answer or one clear line, whatever is in them."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leakpro_core.cli import main

Frames = dict[str, pd.DataFrame]

QUICK = ("copies", "distance", "linkability", "nearest-rows", "single-column")
"""Attacks that take milliseconds, one of every game."""

LEAK = {"weak leak", "clear leak", "strong leak"}


def people(n: int, seed: int) -> pd.DataFrame:
    """Return people with a column of nearly every kind, apostrophes and half of the values."""
    rng = np.random.default_rng(seed)
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 700, n), "D")
    return pd.DataFrame(
        {
            "age": rng.integers(18, 90, n),
            "income": np.round(rng.lognormal(10, 1, n), 2),
            "town": rng.choice(
                ["Oslo", "O'Fallon", "L'Aquila", "Rome"], n, p=[0.5, 0.3, 0.15, 0.05]
            ),
            "day": day,
            "smoker": rng.random(n) < 0.3,
        }
    )


def three(make: Callable[[int, int], pd.DataFrame] = people, *sizes: int) -> Frames:
    """Return tables of an audit without a leak."""
    sizes = sizes or (80, 80, 80)
    names = ("original", "control", "synthetic")
    return {name: make(n, seed) for seed, (name, n) in enumerate(zip(names, sizes, strict=True))}


def written(
    folder: Path,
    frames: Frames,
    *attacks: str,
    target: str = "",
    games: str = "",
    more: str = "",
    form: str = "csv",
) -> Path:
    """Write tables and a plan; return its path."""
    lines = []
    for name, frame in frames.items():
        file = folder / f"{name}.{form}"
        if form == "csv":
            frame.to_csv(file, index=False)
        else:
            frame.to_parquet(file, index=False)
        lines.append(f'{name} = "{file.name}"')
    named = "".join(f'[[attacks]]\nname = "{name}"\n' for name in attacks)
    path = folder / "audit.toml"
    path.write_text(
        'schema = 1\nname = "a case"\nseed = 1\n[target]\nloader = "table"\n'
        + "\n".join(lines)
        + f"\n{target}\n[games]\nrounds = 20\nplanted = [0.2]\n{games}\n{more}\n"
        + f'[report]\nformats = ["json", "terminal"]\n{named}'
    )
    return path


def finished(
    plan: Path, capsys: pytest.CaptureFixture[str], out: str = "run"
) -> tuple[int, dict[str, Any]]:
    """Check and audit; return the exit code and the report of an audit that is told whole."""
    assert main(["check", str(plan)]) == 0
    code = main(["audit", str(plan), "--out", str(plan.parent / out)])
    said = capsys.readouterr().err
    assert "Traceback" not in said
    report: dict[str, Any] = json.loads((plan.parent / out / "report.json").read_text())
    assert code == report["exit_code"]
    assert [a["label"] for a in report["attacks"] if a["status"] == "failed"] == []
    return code, report


def refused(plan: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """Return the one line by which check and audit refuse a plan."""
    lines = []
    for command in (["check"], ["audit", "--out", str(plan.parent / "run")]):
        assert main([command[0], str(plan), *command[1:]]) == 64
        said = [line for line in capsys.readouterr().err.splitlines() if line[0] != "{"]
        assert len(said) == 1
        lines += said
    assert lines[0] == lines[1]
    return lines[0]


def holes(n: int, seed: int) -> pd.DataFrame:
    whole = people(n, seed).astype(object)
    return whole.mask(np.random.default_rng(seed + 100).random(whole.shape) < 0.5)


def constant(n: int, seed: int) -> pd.DataFrame:
    return people(n, seed).assign(same="x", number=1.5, nothing=np.nan)


def mixed(n: int, seed: int) -> pd.DataFrame:
    return people(n, seed).assign(code=[str(i % 5) if i % 2 else "abc" for i in range(n)])


def alike(n: int, seed: int) -> pd.DataFrame:
    return pd.DataFrame({"a": [1] * n, "b": ["x"] * n})


def column(n: int, seed: int) -> pd.DataFrame:
    return people(n, seed)[["income"]]


def two(n: int, seed: int) -> pd.DataFrame:
    return people(n, seed)[["income", "town"]]


def notes(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    words = ["lorem", "ipsum", "dolor", "sit", "amet", "consectetur"]
    return pd.DataFrame({"note": [" ".join(rng.choice(words, 12)) for _ in range(n)]})


def huge(n: int, seed: int) -> pd.DataFrame:
    return people(n, seed).assign(huge=lambda f: f.income * 1e300, big=2**62 + np.arange(n))


def strange_names(n: int, seed: int) -> pd.DataFrame:
    return people(n, seed).rename(columns={"age": "1", "town": " ", "day": "a\nline's"})


def zoned(n: int, seed: int) -> pd.DataFrame:
    return people(n, seed).assign(day=lambda f: f.day.dt.tz_localize("Europe/Oslo"))


ODD: dict[str, tuple[Frames, str]] = {
    "half of all values missing": (three(holes), "csv"),
    "constant and empty columns": (three(constant), "csv"),
    "numbers and words in a column": (three(mixed), "csv"),
    "all rows identical": (three(alike), "csv"),
    "one column": (three(column), "csv"),
    "two columns": (three(two), "csv"),
    "free text alone": (three(notes), "csv"),
    "huge numbers": (three(huge), "parquet"),
    "strange names of columns": (three(strange_names), "csv"),
    "time zones": (three(zoned), "parquet"),
    "two control people": (three(people, 80, 2, 80), "csv"),
    "ten control people": (three(people, 80, 10, 80), "csv"),
    "two people in the data": (three(people, 2, 80, 80), "csv"),
    "one released row": (three(people, 80, 80, 1), "csv"),
    "a larger release": (three(people, 40, 40, 900), "csv"),
    "a town that nobody lives in": (
        three() | {"synthetic": people(80, 2).assign(town="Atlantis")},
        "csv",
    ),
}


OFTEN = (
    "half of all values missing",
    "all rows identical",
    "free text alone",
    "huge numbers",
    "two control people",
)


@pytest.mark.parametrize(
    "case", [c if c in OFTEN else pytest.param(c, marks=pytest.mark.slow) for c in ODD]
)
def test_odd_tables_are_audited_and_no_leak_is_made_up(case, tmp_path, capsys):
    frames, form = ODD[case]
    code, report = finished(written(tmp_path, frames, *_playable(frames), form=form), capsys)
    assert code in (2, 3)  # so few people prove nothing
    assert not LEAK & {f["word"] for f in report["findings"]}


def _playable(frames: Frames) -> tuple[str, ...]:
    """Return the quick attacks; those that two columns are too few for are refused by name."""
    columns = [c for c in frames["original"] if c != "note"]
    if len(columns) < 2:
        return tuple(a for a in QUICK if a not in ("linkability", "nearest-rows"))
    varies = any(frames["original"][c].nunique() > 1 for c in columns)
    return QUICK if varies else tuple(a for a in QUICK if a != "nearest-rows")


REFUSED: dict[str, tuple[Frames, dict[str, str], str]] = {
    "numbers and words in two tables": (
        {"original": people(9, 0).assign(z=1), "control": people(9, 1).assign(z="a")}
        | {"synthetic": people(9, 2).assign(z=1)},
        {},
        'column "z": found numbers in original and synthetic, text in control',
    ),
    "identifiers alone": (
        three(lambda n, s: pd.DataFrame({"id": np.arange(n) + 1000 * s})),
        {},
        "columns of original: found identifiers only",
    ),
    "an empty table": (three(people, 80, 80, 0), {}, 'table "synthetic": found no row'),
    "one control person": (three(people, 80, 1, 80), {}, "[target] control: found one person"),
    "a column too few": (
        three() | {"synthetic": people(80, 2).drop(columns="town")},
        {},
        'column "town": found it in original, and not in synthetic',
    ),
    "a kind that is none": (
        three(),
        {"target": 'columns = { town = "numeric" }'},
        'column "town" of original, row 0',
    ),
    "a kind of another column": (
        three(),
        {"target": 'columns = { twon = "categorical" }'},
        "[target] columns: found \"twon\", expected a column of the tables. Did you mean 'town'?",
    ),
    "a person in both arms": (
        three(lambda n, s: people(n, s).assign(who=np.arange(n))),
        {"target": 'subject = "who"'},
        'found the same person in original and control, "0" and 79 more',
    ),
    "a control that is released": (
        three(),
        {"target": 'again = ["control.csv"]'},
        "control and auxiliary in other files than what is released",
    ),
    "a release twice": (
        three(),
        {"target": 'again = ["synthetic.csv"]'},
        "synthetic and again in files of their own",
    ),
    "too few rounds": (three(), {"games": "tolerance = 0.0"}, "[games] tolerance: found 0.0"),
    "a secret that is none": (three(), {"games": 'secrets = ["twon"]'}, "[games] secrets: found"),
    "halves of which one is empty": (
        three(),
        {"games": 'left = ["age", "income", "town", "day", "smoker"]'},
        "[games] left: found every column",
    ),
    "access to a model": (
        three(),
        {"more": '[[adversary]]\naccess = "logits"\n'},
        "it needs access to samples, the adversary has logits",
    ),
    "records of a model": (three(), {"more": '[data]\npath = "original.csv"\n'}, "[data]: found"),
    "shadows by nobody": (
        three(),
        {"more": '[shadows]\ntrainer = "sdx"\n'},
        '[shadows] trainer: found "sdx", expected one that an installed plugin offers. Did you '
        "mean 'sdv'?",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused_in_one_line(case, tmp_path, capsys):
    frames, how, said = REFUSED[case]
    assert said in refused(written(tmp_path, frames, "copies", **how), capsys)


def test_two_columns_of_one_name_are_refused(tmp_path, capsys):
    plan = written(tmp_path, three(), "copies")
    (tmp_path / "synthetic.csv").write_text("age,age\n1,2\n")
    assert 'found two columns "age"' in refused(plan, capsys)


def test_an_attack_that_nobody_can_play_is_refused_by_name(tmp_path, capsys):
    plan = written(tmp_path, three(), "domias", games="auxiliary_share = 0.0")
    assert "attack 'domias' cannot be played" in refused(plan, capsys)


def test_an_attack_on_tables_in_a_plan_of_a_model_is_refused(tmp_path, capsys):
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "outputs.npz",
        target_outputs=rng.normal(size=(40, 2)).astype(np.float32),
        labels=rng.integers(0, 2, 40),
        members=np.arange(40) < 20,
    )
    plan = tmp_path / "audit.toml"
    plan.write_text(
        'schema = 1\nseed = 1\n[target]\nloader = "arrays"\npath = "outputs.npz"\n'
        '[[attacks]]\nname = "linkability"\n'
    )
    assert "attack 'linkability' cannot be played" in refused(plan, capsys)


def test_many_rows_a_person_are_one_person(tmp_path, capsys):
    def visits(n: int, seed: int) -> pd.DataFrame:
        return people(8 * n, seed).assign(who=np.repeat(np.arange(n) + 1000 * seed, 8))

    plan = written(
        tmp_path, three(visits, 40, 40, 40), "linkability", "copies", target='subject = "who"'
    )
    _, report = finished(plan, capsys)
    assert report["data"]["subjects"] == 70  # 10 of 40 control people are auxiliary
    links = next(a for a in report["attacks"] if a["label"] == "linkability")
    assert links["asked"] == 2 * 20 * 8
    assert max(p["exposed"]["n"] for p in links["success"]) == 20


def test_an_adversary_who_knows_nothing_plays_what_needs_nothing(tmp_path, capsys):
    nothing = '[[adversary]]\naccess = "samples"\nknows = []\n'
    plan = written(tmp_path, three(), *QUICK, more=nothing)
    assert "attack 'distance' cannot be played" in refused(plan, capsys)
    others = [name for name in QUICK if name != "distance"]
    _, report = finished(written(tmp_path, three(), *others, more=nothing), capsys)
    assert {a["status"] for a in report["attacks"]} == {"finished"}
    assert "membership" not in {f["family"] for f in report["findings"]}
    assert report["status"] == "incomplete" or report["word"] == "invalid"


def test_reports_are_written_again(tmp_path, capsys):
    plan = written(tmp_path, three(), "copies")
    report = finished(plan, capsys)[1]
    again = ["report", str(tmp_path / "run"), "--format", "json,terminal"]
    assert main(again) == 0
    assert json.loads((tmp_path / "run" / "report.json").read_text()) == report
    assert finished(plan, capsys)[1] == report


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.5, 0.8])
def test_a_killed_audit_ends_with_the_same_evidence(share, tmp_path, capsys):
    plan = written(tmp_path, three(), *QUICK)
    whole = finished(plan, capsys)[1]
    command = [
        sys.executable,
        "-c",
        "import sys; from leakpro_core.cli import main; sys.exit(main())",
        *("audit", str(plan), "--out", str(tmp_path / "killed")),
    ]
    process = subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    assert process.stderr is not None
    wanted = round(share * 2 * len(QUICK))  # attacks, then as many controls twice
    for line in process.stderr:
        wanted -= '"attacking"' in line or '"control"' in line
        if wanted <= 0:
            process.send_signal(signal.SIGKILL)
            break
    process.wait()
    process.stderr.close()
    assert not (tmp_path / "killed" / "report.json").exists()
    _, again = finished(plan, capsys, out="killed")
    for report in (whole, again):
        report["provenance"].pop("started")
        report["provenance"].pop("seconds")
    assert whole == again


@st.composite
def frames(draw: st.DrawFn) -> Frames:
    """Draw tables of up to six columns of any kinds, with any share of missing values and ties."""
    kinds = draw(st.lists(st.sampled_from("nidtbe"), min_size=2, max_size=6))
    gaps = draw(st.sampled_from([0.0, 0.1, 0.7]))
    levels = draw(st.sampled_from([1, 2, 5, 40]))
    sizes = [draw(st.integers(2, 60)) for _ in range(3)]

    def one(n: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        made = {}
        for j, kind in enumerate(kinds):
            codes = rng.integers(0, levels, n)
            made[f"c{j}"] = {
                "n": lambda n=n: rng.normal(size=n),
                "i": lambda codes=codes: codes,
                "d": lambda codes=codes: pd.Timestamp("2020-01-01") + pd.to_timedelta(codes, "D"),
                "t": lambda codes=codes: [f"it's {c}" for c in codes],
                "b": lambda codes=codes: codes % 2 == 0,
                "e": lambda n=n: np.full(n, np.nan),
            }[kind]()
        frame = pd.DataFrame(made).astype(object)
        return frame.mask(rng.random(frame.shape) < gaps)

    return three(one, *sizes)


@settings(
    max_examples=3, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(drawn=frames())
def test_any_small_tables_end_in_a_report_or_one_line(drawn, tmp_path, capsys):
    shutil.rmtree(tmp_path / "run", ignore_errors=True)
    plan = written(tmp_path, drawn, "copies", "distance", "single-column", "tree")
    code = main(["audit", str(plan), "--out", str(tmp_path / "run")])
    said = [line for line in capsys.readouterr().err.splitlines() if line[0] != "{"]
    if code == 64:
        assert len(said) == 1
        return
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert said == []
    assert code == report["exit_code"]
    assert code in (2, 3)
    assert {a["status"] for a in report["attacks"]} == {"finished"}
