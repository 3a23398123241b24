"""Audits of generators, end to end: small slices of bench/generators.py."""

import os
import subprocess
from pathlib import Path
from typing import Any

import generators as bench
import numpy as np
import pandas as pd
import pytest
from attrs import evolve
from leakpro_sdv.fitting import fit
from leakpro_sdv.library import quiet
from leakpro_sdv.recipe import GeneratorOptions
from leakpro_sdv.sampling import in_order
from synthesized import ADULT, adult, needs_sdv

needs_adult = pytest.mark.skipif(not ADULT.exists(), reason="shared/data/adult_audit is not here")

OTHERS = "".join(f'[[attacks]]\nname = "{name}"\n\n' for name in ("distance", "domias"))
QUICK = bench.COPULA + 'parameters = { default_distribution = "norm" }\n'
SMALL = (bench.TVAE, QUICK), (OTHERS, ""), ('\n[[attacks]]\nname = "copies"\n', "")
IN_PROCESS = ("[report]", bench.HERE + "[report]")


def audit(plan: Path, out: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [bench.LEAKPRO, "audit", plan, "--out", out],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )


def said(done: subprocess.CompletedProcess[str]) -> list[str]:
    """Return what is said on the terminal beside progress."""
    return [line for line in done.stderr.splitlines() if not line.startswith("{")]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return bench.remembered(tmp_path_factory.mktemp("remembered"), n=100)


@needs_adult
class TestGeneratorsThatRemember:
    def test_are_found_by_their_shadows_with_an_interval(self, found: dict[str, Any]) -> None:
        attack = found["rows repeated"]["attacks"]["shadow-generators"]
        assert attack["AUC"]["low"] > 0.6
        assert attack["AUC"]["n"] == 220
        assert attack["p"] < 0.05
        assert found["rows repeated"]["words"]["membership"] in ("clear leak", "weak leak")

    def test_and_are_not_where_they_remember_other_people(self, found: dict[str, Any]) -> None:
        strangers = found["rows of strangers repeated"]
        for attack in ("distance", "domias", "shadow-generators"):
            assert strangers["attacks"][attack]["p"] > 0.05, attack
        interval = strangers["attacks"]["shadow-generators"]["AUC"]
        assert interval["low"] < 0.5 < interval["high"]

    def test_give_outlying_records_away_with_their_surest_claims(
        self, found: dict[str, Any]
    ) -> None:
        for attack in ("domias", "shadow-generators"):
            ranks = found["rows repeated"]["canaries"][attack]["ranks"]
            # Those that were drawn into the release, about 63 in 100, are its surest claims.
            assert max(ranks[:5]) <= 0.65 * 110, attack
        null = found["rows of strangers repeated"]["canaries"]["shadow-generators"]["AUC"]
        assert null["low"] < 0.5 < null["high"]

    def test_show_how_claims_differ_between_releases(self, found: dict[str, Any]) -> None:
        for attack in ("distance", "domias", "shadow-generators"):
            spread = found["rows repeated"]["attacks"][attack]["spread"]
            assert [step["of"] for step in spread] == ["this release", "release 2"]
            assert spread[0]["value"] != spread[1]["value"]
        growth = found["rows repeated"]["attacks"]["copies"]["growth"]
        assert [step["of"] for step in growth] == [
            "25% of the rows", "50% of the rows", "this release",
        ]  # fmt: skip


@needs_sdv
@needs_adult
@pytest.mark.slow
def test_a_killed_audit_fits_nothing_twice_and_ends_as_one_without_workers(tmp_path: Path) -> None:
    bench.few(tmp_path, 40)
    workers = bench.edited("overfitted", tmp_path / "workers.toml", *SMALL)
    alone = bench.edited("overfitted", tmp_path / "alone.toml", *SMALL, IN_PROCESS)
    known, report = bench.killed(workers, tmp_path / "killed")
    assert 3 <= known < 10  # three units, of three and four
    whole = bench.in_process(alone, tmp_path / "whole")
    assert whole["provenance"]["evidence_sha256"] == report["provenance"]["evidence_sha256"]


@needs_sdv
@pytest.mark.parametrize("name", ["CTGAN", "TVAE"])
def test_synthesizers_start_no_processes_of_their_own(name: str) -> None:
    from joblib.externals.loky import reusable_executor

    table = adult(500)  # from which on ctgan would
    few = table.only(["age", "sex", "hr_per_week"])
    options = GeneratorOptions(synthesizer=name, epochs=1)
    made = fit(options, few, 1, at="[shadows]", what="generator").sample(10, 1)
    assert len(made) == 10
    assert reusable_executor._executor is None


@needs_adult
def test_canaries_of_the_plan_are_found_where_rows_are_repeated(tmp_path: Path) -> None:
    bench.few(tmp_path, 140)
    canaries = ("[report]", bench.HERE + "[controls]\ncanaries = 14\nblind = false\n[report]")
    trainer = ('trainer = "sdv"', 'trainer = "repeat"'), (bench.TVAE, "")
    plan = bench.edited("overfitted", tmp_path / "audit.toml", *trainer, canaries)
    report = bench.in_process(plan, tmp_path / "run")
    (control,) = [c for c in report["controls"] if c["name"] == "canaries"]
    assert control["result"] == "pass", control["statement"]
    assert (control["estimate"]["n"], report["data"]["members"]) == (28, 150)
    assert control["estimate"]["low"] > 0.5
    assert "over 3 attacks" in control["statement"]


@pytest.mark.parametrize("name", ["families", "sequences"])
class TestPeopleOfSeveralRows:
    def test_whose_rows_are_copied_are_first_and_people_are_counted(
        self, name: str, tmp_path: Path
    ) -> None:
        bench.write_people(tmp_path, 40)
        bench.write_role(tmp_path, "strangers", 40, 9)
        sequences = bench.edited("sequences", tmp_path / "who.toml")
        made = bench.people(sequences, control="strangers.parquet")
        release = evolve(made.control, subjects=in_order(made.control.subjects))
        bench.write_copied(tmp_path, made.original, release)
        plan = bench.edited(name, tmp_path / "audit.toml", *bench.released(name))
        out = tmp_path / "run"
        report = bench.in_process(plan, out)
        original = bench.people(plan).original
        patient = bench.subject(original, bench.COPIED)
        for attack in ("distance", "neighbour-ratio", "domias"):
            rounds = pd.read_parquet(out / "evidence" / f"{attack}.parquet")
            assert len(rounds) > 2 * rounds["subject"].nunique()
            assert bench.rank(bench.claims(out, attack), patient) == 1, attack
        told = bench.figures(report)["attacks"]
        assert isinstance(told, dict)
        assert {told[a]["AUC"]["n"] for a in ("distance", "neighbour-ratio", "domias")} == {80}
        assert told["nearest-rows"]["excess"]["n"] == 80
        assert [step["of"] for step in told["nearest-rows"]["growth"]] == [
            "25% of the subjects", "50% of the subjects", "this release",
        ]  # fmt: skip

    @needs_sdv
    @pytest.mark.slow
    def test_are_fitted_left_out_and_attacked_as_people(self, name: str, tmp_path: Path) -> None:
        changes = [("count = 32", "count = 4"), IN_PROCESS]
        if name == "sequences":
            changes.append(("epochs = 20", "epochs = 1"))
        bench.write_people(tmp_path, 12)
        plan = bench.edited(name, tmp_path / "audit.toml", *changes)
        report = bench.in_process(plan, tmp_path / "run")
        rounds = pd.read_parquet(tmp_path / "run" / "evidence" / "shadow-generators.parquet")
        assert rounds.groupby("arm", observed=True)["subject"].nunique().to_dict() == {
            "exposed": 12, "control": 12,
        }  # fmt: skip
        told = bench.figures(report)["attacks"]
        assert isinstance(told, dict)
        assert told["shadow-generators"]["AUC"]["n"] == 24
        assert len(told["shadow-generators"]["spread"]) == 2


class TestSavedSynthesizers:
    def plan(self, folder: Path, more: str = "") -> Path:
        path = folder / "saved.toml"
        path.write_text(
            'schema = 1\n[target]\nloader = "sdv"\npath = "copula.pkl"\n'
            f'original = "original.parquet"\ncontrol = "control.parquet"\n{more}\n'
            '[[adversary]]\naccess = "samples"\n[[attacks]]\nname = "distance"\n'
        )
        return path

    def test_are_refused_in_one_line_unless_they_are_trusted(self, tmp_path: Path) -> None:
        bench.write_people(tmp_path, 10)
        (tmp_path / "copula.pkl").write_bytes(b"whatever")
        done = audit(self.plan(tmp_path), tmp_path / "run")
        assert done.returncode == 64
        (line,) = said(done)
        assert "a pickle, which runs code when it is loaded" in line
        assert "trust = true" in line

    @needs_sdv
    def test_are_said_to_have_been_trusted(self, tmp_path: Path) -> None:
        from sdv.metadata import Metadata
        from sdv.single_table import GaussianCopulaSynthesizer

        bench.write_people(tmp_path, 60)
        frame = pd.read_parquet(tmp_path / "original_parents.parquet").drop(columns="patient")
        with quiet():
            synthesizer = GaussianCopulaSynthesizer(Metadata.detect_from_dataframes({"t": frame}))
            synthesizer.fit({"t": frame})
            synthesizer.save(tmp_path / "copula.pkl")
        for role in ("original", "control"):
            parents = pd.read_parquet(tmp_path / f"{role}_parents.parquet")
            parents.drop(columns="patient").to_parquet(tmp_path / f"{role}.parquet")
        report = bench.in_process(self.plan(tmp_path, "trust = true"), tmp_path / "run")
        assert report["target"]["kind"] == "generator"
        note = "copula.pkl was trusted: it could run code while it was loaded."
        assert note in report["limits"]


def test_without_sdv_the_command_says_what_to_install(tmp_path: Path) -> None:
    bench.write_people(tmp_path, 10)
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.metadata as metadata\n"
        "real = metadata.version\n"
        "def version(name):\n"
        "    if name == 'sdv':\n"
        "        raise metadata.PackageNotFoundError(name)\n"
        "    return real(name)\n"
        "metadata.version = version\n"
    )
    plan = bench.edited("sequences", tmp_path / "audit.toml")
    done = audit(plan, tmp_path / "run", PYTHONPATH=str(tmp_path))
    assert done.returncode == 64
    (line,) = said(done)
    assert "pip install 'leakpro-sdv[sdv]'" in line


def test_the_example_of_a_generator_is_valid() -> None:
    plan = bench.evidence.ROOT / "examples" / "generator" / "audit.toml"
    command = [bench.LEAKPRO, "check", plan]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "generators to fit: 10" in done.stdout


def test_outlying_records_are_rows_of_values_that_stand_in_the_table() -> None:
    table = bench.pa.table({"a": [1, 1, 1, 2], "b": ["x", "x", "y", None]})
    odd = bench.outlying(table, 400, np.random.default_rng(0))
    assert set(odd["a"].to_pylist()) == {1, 2}
    assert 150 < odd["a"].to_pylist().count(2) < 250
    assert set(odd["b"].to_pylist()) == {"x", "y"}
