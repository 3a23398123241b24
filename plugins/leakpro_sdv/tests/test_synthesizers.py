"""The loader "sdv", on small files, with SDV itself."""

import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from leakpro_sdv import library
from leakpro_sdv.library import quiet
from leakpro_sdv.synthesizers import SynthesizerOptions, load
from synthesized import needs_sdv

from leakpro_core import options as options_of_a_plan
from leakpro_core.errors import (
    BadArray,
    BadValue,
    LeakProError,
    MissingFile,
    ReferenceNotFound,
    UnknownKey,
    UnsafeFile,
)
from leakpro_core.records import Release, Table, TableRelease
from leakpro_core.testing.conformance import PlainRun

ROWS = 80


def people(seed: int, n: int = ROWS) -> pa.Table:
    rng = np.random.default_rng(seed)
    words = np.array(["red", "green", "it's"])
    return pa.table(
        {
            "age": rng.integers(18, 90, n),
            "income": np.round(rng.lognormal(10, 1, n), 2),
            "colour": words[rng.integers(0, 3, n)],
            "joined": np.datetime64("2001-01-01") + rng.integers(0, 900, n),
            "remark": [f"came on foot number {i} of {seed}, and left again" for i in range(n)],
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    pq.write_table(people(1), tmp_path / "original.parquet")
    pyarrow.csv.write_csv(people(2), tmp_path / "control.csv")
    return tmp_path


def loaded(folder: Path, seed: int = 5, **table: object) -> Release:
    """Return what a plan's table loads."""
    options = options_of_a_plan.build(
        SynthesizerOptions,
        {"original": "original.parquet", "control": "control.csv"} | table,
        at="[target]",
        folder=folder,
    )
    return load(options, PlainRun(seed=seed, scratch=folder))


def tables_of(release: Release) -> TableRelease:
    assert release.tables is not None
    return release.tables


def rows_of(table: Table | None) -> np.ndarray:
    assert table is not None
    return np.nan_to_num(table.matrix(), nan=-9.0)


def saved_copula(folder: Path, **changes: object) -> Path:
    """Return the file of a Gaussian copula that was fitted as SDV's users fit one."""
    frame = people(1).drop_columns(["remark"]).to_pandas().assign(**changes)
    with quiet():
        from sdv.metadata import Metadata
        from sdv.single_table import GaussianCopulaSynthesizer

        metadata = Metadata.detect_from_dataframes({"people": frame})
        synthesizer = GaussianCopulaSynthesizer(metadata)
        synthesizer.fit({"people": frame})
        synthesizer.save(folder / "copula.pkl")
    return folder / "copula.pkl"


class Bomb:
    """Runs code when it is unpickled: makes a folder."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.mark),)


class TestFittedHere:
    @needs_sdv
    def test_the_release_holds_rows_of_the_originals_schema(
        self, folder: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        release = loaded(folder, synthesizer="GaussianCopula", rows=30, again=1, larger=2)
        found = tables_of(release)
        assert found.synthetic is not None
        assert found.synthetic.columns == found.original.columns
        assert found.original.names == ("age", "income", "colour", "joined")
        assert [len(table) for table in (found.synthetic, *found.again)] == [30, 30]
        assert found.larger is not None
        assert len(found.larger) == 60
        assert release.notes == (
            'Column "remark" is left out: synthesizers model neither identifiers nor free text.',
        )
        assert release.target is not None
        assert release.target.kind == "generator"
        assert release.target.description.startswith("GaussianCopula of SDV 2.")
        assert capfd.readouterr() == ("", "")

    @needs_sdv
    def test_rows_depend_on_the_seed_and_releases_differ(self, folder: Path) -> None:
        one = tables_of(loaded(folder, synthesizer="GaussianCopula", again=1, larger=2))
        same = tables_of(loaded(folder, synthesizer="GaussianCopula", again=1))
        other = tables_of(loaded(folder, seed=6, synthesizer="GaussianCopula"))
        assert (rows_of(one.synthetic) == rows_of(same.synthetic)).all()
        assert (rows_of(one.again[0]) == rows_of(same.again[0])).all()
        assert (rows_of(one.synthetic) != rows_of(other.synthetic)).any()
        assert (rows_of(one.synthetic) != rows_of(one.again[0])).any()
        assert (rows_of(one.synthetic) != rows_of(one.larger)[:ROWS]).any()

    @needs_sdv
    def test_the_identity_tells_recipe_seed_and_rows_apart(self, folder: Path) -> None:
        def identity(seed: int = 5, **table: object) -> str:
            target = loaded(folder, seed=seed, rows=5, **table).target
            assert target is not None
            return target.identity

        plain = identity(synthesizer="GaussianCopula")
        assert plain == identity(synthesizer="GaussianCopula")
        uniform = {"default_distribution": "uniform"}
        assert plain != identity(synthesizer="GaussianCopula", parameters=uniform)
        assert plain != identity(synthesizer="GaussianCopula", seed=6)
        pq.write_table(people(3), folder / "original.parquet")
        assert plain != identity(synthesizer="GaussianCopula")

    @needs_sdv
    def test_an_argument_that_sdv_does_not_take_is_named(self, folder: Path) -> None:
        with pytest.raises(UnknownKey, match=r"\[target\] parameters\.pac: found no argument"):
            loaded(folder, synthesizer="TVAE", parameters={"pac": 5})

    def test_without_sdv_it_says_what_to_install(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def absent(name: str) -> str:
            raise library.PackageNotFoundError(name)

        monkeypatch.setattr(library, "version", absent)
        with pytest.raises(ReferenceNotFound, match=r"pip install 'leakpro-sdv\[sdv\]'"):
            loaded(folder, synthesizer="GaussianCopula")


class TestSaved:
    def test_a_pickle_is_not_opened_unless_it_is_trusted(self, folder: Path) -> None:
        mark = folder / "it ran"
        (folder / "bomb.pkl").write_bytes(pickle.dumps(Bomb(mark)))
        with pytest.raises(UnsafeFile, match=r"runs code when it is loaded.*trust = true"):
            loaded(folder, path="bomb.pkl")
        assert not mark.exists()

    @needs_sdv
    def test_a_trusted_pickle_runs_and_must_be_a_synthesizer(self, folder: Path) -> None:
        mark = folder / "it ran"
        (folder / "bomb.pkl").write_bytes(pickle.dumps(Bomb(mark)))
        with pytest.raises(BadArray, match="expected a synthesizer as SDV"):
            loaded(folder, path="bomb.pkl", trust=True)
        assert mark.exists()  # so that the test above can fail

    @needs_sdv
    def test_what_is_no_synthesizer_is_named(self, folder: Path) -> None:
        (folder / "list.pkl").write_bytes(pickle.dumps([1]))
        with pytest.raises(BadArray, match="an object of type list"):
            loaded(folder, path="list.pkl", trust=True)
        with pytest.raises(MissingFile, match="No such file"):
            loaded(folder, path="absent.pkl", trust=True)

    @needs_sdv
    def test_a_saved_copula_is_sampled_by_the_seed(
        self, folder: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        path = saved_copula(folder)
        table: Mapping[str, object] = {
            "path": path.name, "trust": True, "ignore": ["remark"], "again": 1, "larger": 3,
        }  # fmt: skip
        release = loaded(folder, **table)
        found, same = tables_of(release), tables_of(loaded(folder, **table))
        assert found.synthetic is not None
        assert len(found.synthetic) == ROWS
        assert len(rows_of(found.larger)) == 3 * ROWS
        assert (rows_of(found.synthetic) == rows_of(same.synthetic)).all()
        assert (rows_of(found.again[0]) == rows_of(same.again[0])).all()
        assert (rows_of(found.synthetic) != rows_of(found.again[0])).any()
        ages = found.synthetic.values[0]
        assert found.original.values[0].min() <= ages.min()
        assert ages.max() <= found.original.values[0].max()
        assert release.notes == ("copula.pkl was trusted: it could run code while it was loaded.",)
        assert capfd.readouterr() == ("", "")

    @needs_sdv
    def test_a_column_that_it_does_not_sample_is_named(self, folder: Path) -> None:
        path = saved_copula(folder)
        with pytest.raises(BadArray, match='column "remark": found it in original, and not in'):
            loaded(folder, path=path.name, trust=True)
        path = saved_copula(folder, more=1.5)
        with pytest.raises(BadArray, match='column "more": found it in synthetic'):
            loaded(folder, path=path.name, trust=True, ignore=["remark"])

    @needs_sdv
    def test_one_of_an_older_sdv_or_not_fitted_is_refused(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from sdv.single_table import GaussianCopulaSynthesizer

        path = saved_copula(folder)
        about = {"is_fit": True, "fitted_sdv_version": "1.20.0"}
        monkeypatch.setattr(GaussianCopulaSynthesizer, "get_info", lambda self: about)
        with pytest.raises(BadValue, match=r"fitted by SDV 1\.20\.0, expected one that SDV 2\.x"):
            loaded(folder, path=path.name, trust=True)
        about["is_fit"] = False
        with pytest.raises(BadValue, match="that is not fitted"):
            loaded(folder, path=path.name, trust=True)

    @needs_sdv
    def test_children_that_it_does_not_model_are_refused(self, folder: Path) -> None:
        path = saved_copula(folder)
        children = {"original": "original.parquet", "control": "control.csv", "key": "age"}
        with pytest.raises(BadValue, match=r"\[target\] children.*a synthesizer of 1 table"):
            loaded(folder, path=path.name, trust=True, children=children)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({}, "either path"),
        ({"path": "a.pkl", "synthesizer": "CTGAN"}, "either path"),
        ({"path": "a.pkl", "epochs": 3}, "no options of fitting"),
        ({"synthesizer": "PAR"}, "a subject for PAR"),
        ({"synthesizer": "HMA"}, "children with HMA"),
        ({"synthesizer": "GaussianCopula", "epochs": 3}, "closed form"),
        ({"synthesizer": "CTGAN", "larger": 1}, "larger"),
        ({"synthesizer": "CTGAN", "control": "original.parquet"}, "files of their own"),
        ({"synthesizer": "CTGAN", "control": "control.xlsx"}, "a csv or parquet file"),
        ({"synthesizer": "CTgan"}, 'Did you mean "CTGAN"|CTGAN'),
    ],
)
def test_what_does_not_go_together_is_refused_before_any_file_is_read(
    tmp_path: Path, table: dict[str, object], message: str
) -> None:
    with pytest.raises(LeakProError, match=message):
        loaded(tmp_path, **table)
