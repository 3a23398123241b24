"""Generators fitted by SDV itself, on few rows and for one epoch."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from leakpro_sdv import library
from leakpro_sdv.fitting import fit
from leakpro_sdv.frames import layout_of
from leakpro_sdv.sampling import in_order
from leakpro_sdv.trainer import GeneratorOptions, Generators, train
from synthesized import adult, mixed, needs_sdv

from leakpro_core import options as options_of_a_plan
from leakpro_core.errors import (
    BadRecord,
    BadValue,
    LeakProError,
    NotApplicable,
    ReferenceNotFound,
    TrainingFailed,
    UnknownKey,
    UnknownName,
)
from leakpro_core.observing import Wanted
from leakpro_core.records import Fitting, TrainingSet, TrainingUnit
from leakpro_core.tabular.table import Column, Kind, Table, from_matrix
from leakpro_core.testing.conformance import PlainRun
from leakpro_core.units import TrainingJob, train_unit

ROWS = 50


def unit_of(
    table: Table, options: GeneratorOptions, models: int = 2, seed: int = 7
) -> TrainingUnit:
    n = len(table)
    return TrainingUnit(
        models=tuple(range(models)),
        rows=tuple(np.arange(n) for _ in range(models)),
        seeds=tuple(seed + i for i in range(models)),
        options=Fitting(columns=table.columns, subjects=table.subjects, rows=ROWS, options=options),
    )


def trained(table: Table, options: GeneratorOptions, run: PlainRun, **more: int) -> Generators:
    data = TrainingSet(records=table.matrix(), labels=np.zeros(len(table), np.int64), classes=1)
    return train(data, unit_of(table, options, **more), run)


@pytest.fixture
def run(tmp_path: Path) -> PlainRun:
    return PlainRun(seed=1, scratch=tmp_path)


def one_epoch(name: str) -> GeneratorOptions:
    return GeneratorOptions(synthesizer=name, epochs=None if name == "GaussianCopula" else 1)


@needs_sdv
@pytest.mark.parametrize("name", ["GaussianCopula", "CTGAN", "TVAE", "PAR"])
class TestEverySynthesizer:
    def test_releases_the_rows_asked_for_by_the_seed_of_each_model(
        self, name: str, run: PlainRun, capfd: pytest.CaptureFixture[str]
    ) -> None:
        table = mixed(rows_each=4)
        one = trained(table, one_epoch(name), run)
        again = trained(table, one_epoch(name), run, models=1, seed=8)
        assert one.released.shape == (2, ROWS, len(table.columns))
        assert one.owners.shape == (2, ROWS)
        assert (np.nan_to_num(one.released[0]) != np.nan_to_num(one.released[1])).any()
        np.testing.assert_array_equal(one.released[1], again.released[0])  # seed 8 in both
        assert capfd.readouterr() == ("", "")

    def test_keeps_to_the_levels_whole_numbers_and_whole_days(
        self, name: str, run: PlainRun
    ) -> None:
        table = mixed(rows_each=4)
        made = trained(table, one_epoch(name), run, models=1)
        rows = from_matrix(table.columns, made.released[0], made.owners[0])
        for column, values in zip(rows.columns, rows.values, strict=True):
            if not column.measured:
                assert set(values) <= set(range(-1, len(column.levels)))
            there = values[~np.isnan(values)] if column.measured else values
            if column.integer:
                assert (there == np.round(there)).all()
            if column.kind is Kind.DATETIME:
                assert len(there)
                assert (there % 86_400 == 0).all()
        kinds = {c.name: v for c, v in zip(rows.columns, rows.values, strict=True)}
        assert (kinds["note"] == -1).all()
        assert (kinds["number"] == -1).all()
        assert np.isnan(kinds["nothing"]).all()
        assert (kinds["constant"] == 3.5).all()


@needs_sdv
@pytest.mark.slow
def test_rows_are_the_same_in_another_process_whatever_its_hashes() -> None:
    code = (
        "import hashlib\n"
        "from leakpro_sdv.fitting import fit\n"
        "from leakpro_sdv.recipe import GeneratorOptions\n"
        "from synthesized import adult, mixed\n"
        "for table, options in (\n"
        "    (adult(300), GeneratorOptions()),\n"
        "    (mixed(rows_each=4), GeneratorOptions(synthesizer='PAR', epochs=1)),\n"
        "):\n"
        "    made = fit(options, table, 3, at='', what='').sample(60, 3)\n"
        "    print(hashlib.sha256(made.matrix().tobytes()).hexdigest())\n"
    )
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONHASHSEED": "5", "PYTHONPATH": str(Path(__file__).parent)},
    )
    expected = []
    for table, options in (
        (adult(300), GeneratorOptions()),
        (mixed(rows_each=4), one_epoch("PAR")),
    ):
        made = fit(options, table, 3, at="", what="").sample(60, 3)
        expected.append(hashlib.sha256(made.matrix().tobytes()).hexdigest())
    assert found.stdout.split() == expected
    assert found.stderr == ""


@needs_sdv
def test_the_global_generators_are_put_back(run: PlainRun) -> None:
    import torch

    def drawn() -> tuple[float, float, float]:
        return np.random.random(), random.random(), torch.rand(1).item()  # noqa: NPY002

    np.random.seed(11)  # noqa: NPY002
    random.seed(11)
    torch.manual_seed(11)
    expected = drawn()
    np.random.seed(11)  # noqa: NPY002
    random.seed(11)
    torch.manual_seed(11)
    trained(mixed(), one_epoch("TVAE"), run, models=1)
    assert drawn() == expected


@needs_sdv
def test_core_keeps_the_released_rows_of_a_unit(tmp_path: Path) -> None:
    table = mixed()
    job = TrainingJob(
        ref="leakpro_sdv.trainer:train",
        unit=unit_of(table, GeneratorOptions()),
        classes=1,
        modality="tabular",
        wanted=Wanted(lenses=(), temperatures=(1.0,), keep_outputs=False, keep_weights=True),
        seed=1,
        scratch=tmp_path,
    )
    kept = train_unit(job, table.matrix(), np.zeros(len(table), np.int64))
    assert set(kept) == {"weights/released", "weights/owners"}
    assert kept["weights/released"].shape == (2, ROWS, len(table.columns))
    assert kept["weights/owners"].tolist() == [list(range(ROWS))] * 2


@needs_sdv
def test_rows_come_from_the_rows_that_the_model_is_fitted_on(run: PlainRun) -> None:
    column = Column(name="x", kind=Kind.NUMERIC, integer=True)
    records = np.arange(400.0)[:, None]
    unit = TrainingUnit(
        models=(0, 1),
        rows=(np.arange(200), np.arange(200, 400)),
        seeds=(1, 2),
        options=Fitting(
            columns=(column,), subjects=np.arange(400), rows=100, options=GeneratorOptions()
        ),
    )
    data = TrainingSet(records=records, labels=np.zeros(400, np.int64), classes=1)
    low, high = train(data, unit, run).released[:, :, 0]
    assert low.max() < 200 <= high.min()


@needs_sdv
def test_an_owner_of_par_is_a_sequence_and_its_index_rises(run: PlainRun) -> None:
    table = mixed(rows_each=4)
    options = GeneratorOptions(synthesizer="PAR", epochs=1, sequence_index="step")
    made = trained(table, options, run, models=1)
    owners, step = made.owners[0], made.released[0, :, table.names.index("step")]
    assert owners[0] == 0
    assert set(np.diff(owners)) == {0, 1}
    assert (np.bincount(owners)[:-1] == 4).all()  # every sequence that was learnt has four rows
    assert (np.diff(step)[np.diff(owners) == 0] >= 0).all()


def test_a_generator_answers_no_queries() -> None:
    cohort = Generators(released=np.zeros((1, 2, 3)), owners=np.zeros((1, 2), np.int64))
    with pytest.raises(NotApplicable, match="queries of generators"):
        cohort.query(np.zeros((1, 3)))


def test_keys_are_numbered_as_they_occur() -> None:
    assert in_order(np.array([7, 7, 3, 9, 3])).tolist() == [0, 0, 1, 2, 1]


class TestPlans:
    def built(self, **table: object) -> GeneratorOptions:
        return options_of_a_plan.build(GeneratorOptions, table, at="[shadows]", folder=Path())

    def test_parameters_are_read_as_toml_has_them(self) -> None:
        table = {"pac": 5, "generator_dim": [64, 64], "log_frequency": False, "generator_lr": 1e-3}
        options = self.built(synthesizer="CTGAN", epochs=2, parameters=table)
        assert options.parameters == table | {"generator_dim": (64, 64)}
        named = self.built(parameters={"numerical_distributions": {"age": "gamma"}})
        assert named.parameters == {"numerical_distributions": {"age": "gamma"}}

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            ({"synthesizer": "CTGan"}, "CTGAN"),
            ({"epochs": 3}, "closed form"),
            ({"synthesizer": "PAR", "batch_size": 10}, "not fitted in batches"),
            ({"sequence_index": "day"}, "has no sequences"),
            ({"synthesizer": "CTGAN", "batch_size": 64}, "multiple of pac, 10"),
            ({"synthesizer": "CTGAN", "batch_size": 15, "parameters": {"pac": 5}}, "an even"),
        ],
    )
    def test_what_no_synthesizer_takes_is_refused(
        self, table: dict[str, object], message: str
    ) -> None:
        with pytest.raises(LeakProError, match=message):
            self.built(**table)

    @needs_sdv
    @pytest.mark.parametrize(
        ("parameters", "error", "message"),
        [
            ({"enforce_roundin": True}, UnknownKey, "Did you mean 'enforce_rounding'"),
            ({"epochs": 3}, UnknownKey, "parameters.epochs"),
            ({"default_distribution": "cauchy"}, BadValue, "cauchy"),
            ({"numerical_distributions": {"visit": "gamma"}}, UnknownName, "mean 'visits'"),
            ({"numerical_distributions": {"visits": "gama"}}, BadValue, "gama"),
        ],
    )
    def test_arguments_that_sdv_does_not_take_are_named(
        self, parameters: dict[str, object], error: type[LeakProError], message: str
    ) -> None:
        options = self.built(parameters=parameters)
        with pytest.raises(error, match=message):
            fit(options, mixed(), 1, at="[shadows]", what="generator 0")

    @needs_sdv
    def test_a_distribution_of_a_column_is_used(self) -> None:
        options = self.built(parameters={"numerical_distributions": {"visits": "uniform"}})
        made = fit(options, mixed(), 1, at="[shadows]", what="generator 0")
        assert made.synthesizer.get_learned_distributions()["c1"]["distribution"] == "uniform"


class TestRefusedTables:
    def fitted(self, table: Table, name: str = "PAR", **more: object) -> None:
        fit(one_epoch(name), table, 1, at="[shadows]", what="generator 0")

    @needs_sdv
    def test_par_needs_people_of_several_rows(self) -> None:
        with pytest.raises(BadValue, match=r"one row each.*subject"):
            self.fitted(mixed(n=20))

    @needs_sdv
    @pytest.mark.parametrize(
        ("index", "error", "message"),
        [
            ("c4", BadValue, "of kind categorical"),
            ("visits", BadRecord, "column 'visits', row 3"),
            ("steps", UnknownName, "mean 'step'"),
        ],
    )
    def test_a_sequence_index_is_a_number_in_every_row(
        self, index: str, error: type[LeakProError], message: str
    ) -> None:
        options = GeneratorOptions(synthesizer="PAR", epochs=1, sequence_index=index)
        with pytest.raises(error, match=message):
            fit(options, mixed(rows_each=4), 1, at="[shadows]", what="generator 0")

    def test_a_table_needs_a_column_to_model(self) -> None:
        table = mixed().only(["note", "number", "nothing"])
        with pytest.raises(BadValue, match="only text, identifiers or missing"):
            layout_of(table)

    def test_a_time_that_pandas_cannot_hold_is_named(self) -> None:
        column = Column(name="born", kind=Kind.DATETIME)
        table = Table(columns=(column,), values=(np.array([0.0, -1e11]),), subjects=np.arange(2))
        with pytest.raises(BadRecord, match=r"column 'born', row 1.*-1199"):
            layout_of(table).frame(table)

    @needs_sdv
    def test_what_sdv_cannot_fit_names_the_generator(self, monkeypatch: pytest.MonkeyPatch) -> None:
        from sdv.single_table import GaussianCopulaSynthesizer

        def fail(*arguments: object) -> None:
            raise RuntimeError("column 'c1' is odd")

        monkeypatch.setattr(GaussianCopulaSynthesizer, "fit", fail)
        with pytest.raises(
            TrainingFailed, match=r"generator 0 could not be fitted.*'visits' is odd"
        ):
            self.fitted(mixed(), "GaussianCopula")


class TestWithoutSdv:
    def test_what_to_install_is_said(self, monkeypatch: pytest.MonkeyPatch, run: PlainRun) -> None:
        def absent(name: str) -> str:
            raise library.PackageNotFoundError(name)

        monkeypatch.setattr(library, "version", absent)
        with pytest.raises(ReferenceNotFound, match=r"pip install 'leakpro-sdv\[sdv\]'"):
            trained(mixed(), GeneratorOptions(), run)

    def test_an_older_sdv_is_refused(self, monkeypatch: pytest.MonkeyPatch, run: PlainRun) -> None:
        monkeypatch.setattr(library, "version", lambda name: "1.19.0")
        with pytest.raises(ReferenceNotFound, match=r"found sdv 1\.19\.0, expected SDV 2\.x"):
            trained(mixed(), GeneratorOptions(), run)

    def test_plans_are_checked_without_importing_sdv_or_pandas(self) -> None:
        code = (
            "import sys, leakpro_sdv.plugin, leakpro_sdv.trainer\n"
            "print([m for m in ('sdv', 'pandas', 'torch') if m in sys.modules])"
        )
        found = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        assert found.stdout.strip() == "[]"
