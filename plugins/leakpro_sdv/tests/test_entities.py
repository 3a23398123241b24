"""People with several rows: parents with children (HMA) and sequences (PAR), with SDV itself."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_sdv.fitting import fit
from leakpro_sdv.library import quiet
from leakpro_sdv.recipe import GeneratorOptions
from leakpro_sdv.related import apart, joined
from leakpro_sdv.synthesizers import SynthesizerOptions, load
from synthesized import needs_sdv

from leakpro_core import options as options_of_a_plan
from leakpro_core.errors import BadRecord, BadValue, UnknownName
from leakpro_core.records import Release, TableRelease
from leakpro_core.tabular.table import Column, Kind, Table
from leakpro_core.testing.conformance import PlainRun

CHILD_COLUMNS = ("amount", "paid", "shop")


def patients(seed: int, n: int = 16) -> tuple[pa.Table, pa.Table]:
    """Return parents, a quarter of them without children, and children."""
    rng = np.random.default_rng(seed)
    keys = seed * 1000 + np.arange(n)
    parents = pa.table(
        {
            "id": keys,
            "age": rng.integers(18, 90, n),
            "town__size": np.array(["small", "large"])[rng.integers(0, 2, n)],
        }
    )
    owners = np.repeat(keys[: n * 3 // 4], rng.integers(1, 4, n * 3 // 4))
    m = len(owners)
    children = pa.table(
        {
            "id": rng.permutation(owners),
            "amount": rng.integers(1, 100, m),
            "paid": rng.integers(0, 2, m).astype(bool),
            "shop": np.array(["a", "b", "c"])[rng.integers(0, 3, m)],
        }
    )
    return parents, children


def visits(seed: int, n: int = 20) -> pa.Table:
    """Return sequences of three to five rows."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 6, n)
    who = np.repeat([f"p{seed}-{i}" for i in range(n)], lengths)
    step = np.concatenate([np.arange(length) for length in lengths])
    m = len(who)
    return pa.table(
        {
            "who": who,
            "step": step,
            "weight": np.round(rng.normal(70, 9, m), 1),
            "ward": np.array(["east", "west"])[rng.integers(0, 2, m)],
        }
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for role, seed in (("original", 1), ("control", 2)):
        parents, children = patients(seed)
        pq.write_table(parents, tmp_path / f"{role}.parquet")
        pq.write_table(children, tmp_path / f"{role}_children.parquet")
        pq.write_table(visits(seed), tmp_path / f"{role}_visits.parquet")
    return tmp_path


def loaded(folder: Path, **table: object) -> Release:
    options = options_of_a_plan.build(SynthesizerOptions, table, at="[target]", folder=folder)
    return load(options, PlainRun(seed=5, scratch=folder))


RELATED = {
    "original": "original.parquet",
    "control": "control.parquet",
    "children": {
        "original": "original_children.parquet",
        "control": "control_children.parquet",
        "key": "id",
    },
}
SEQUENCES = {
    "original": "original_visits.parquet",
    "control": "control_visits.parquet",
    "subject": "who",
}


def tables_of(release: Release) -> TableRelease:
    assert release.tables is not None
    return release.tables


def rows_of(table: Table | None) -> np.ndarray:
    assert table is not None
    return np.nan_to_num(table.matrix(), nan=-9.0)


def check_families(table: Table) -> None:
    """Check that a wide table is one of parents and their children."""
    parents, children = apart(table, CHILD_COLUMNS, "")  # raises where a parent varies
    assert sorted(set(table.subjects)) == list(range(len(parents)))
    assert len(children) > 0


class TestHma:
    @needs_sdv
    def test_parents_keep_their_values_in_all_rows(self, folder: Path) -> None:
        found = tables_of(loaded(folder, **RELATED, synthesizer="HMA", again=1))
        assert found.original.names == ("age", "town__size", *CHILD_COLUMNS)
        assert len(np.unique(found.original.subjects)) == 16
        assert found.synthetic is not None
        assert len(found.synthetic) == len(found.original)
        check_families(found.synthetic)
        assert (rows_of(found.synthetic) != rows_of(found.again[0])).any()
        same = tables_of(loaded(folder, **RELATED, synthesizer="HMA"))
        assert (rows_of(found.synthetic) == rows_of(same.synthetic)).all()

    @needs_sdv
    def test_a_saved_one_is_joined_by_its_own_keys(self, folder: Path) -> None:
        parents, children = (table.to_pandas() for table in patients(1))
        frames = {"p": parents, "c": children.rename(columns={"id": "patient"})}
        with quiet():
            from sdv.metadata import Metadata
            from sdv.multi_table import HMASynthesizer

            metadata = Metadata.load_from_dict(
                {
                    "tables": {
                        "c": {
                            "columns": {
                                "patient": {"sdtype": "id"},
                                "amount": {"sdtype": "numerical"},
                                "paid": {"sdtype": "boolean"},
                                "shop": {"sdtype": "categorical"},
                            }
                        },
                        "p": {
                            "primary_key": "id",
                            "columns": {
                                "id": {"sdtype": "id"},
                                "age": {"sdtype": "numerical"},
                                "town__size": {"sdtype": "categorical"},
                            },
                        },
                    },
                    "relationships": [
                        {
                            "parent_table_name": "p",
                            "child_table_name": "c",
                            "parent_primary_key": "id",
                            "child_foreign_key": "patient",
                        }
                    ],
                }
            )
            synthesizer = HMASynthesizer(metadata, verbose=False)
            synthesizer.fit(frames)
            synthesizer.save(folder / "hma.pkl")
        saved = {"path": "hma.pkl", "trust": True, **RELATED}
        found = tables_of(loaded(folder, **saved, again=1))
        assert found.synthetic is not None
        check_families(found.synthetic)
        assert len(np.unique(found.synthetic.subjects)) == 16
        assert found.synthetic.columns == found.original.columns
        assert (rows_of(found.synthetic)[:10] != rows_of(found.again[0])[:10]).any()
        with pytest.raises(BadValue, match=r"found none, expected as hma\.pkl has them"):
            loaded(folder, path="hma.pkl", trust=True, original="original.parquet",
                   control="control.parquet")  # fmt: skip

    @needs_sdv
    @pytest.mark.slow
    def test_rows_are_the_same_in_another_process(self, folder: Path) -> None:
        code = (
            "import sys\n"
            "from pathlib import Path\n"
            "from test_entities import RELATED, loaded, rows_of, tables_of\n"
            "made = tables_of(loaded(Path(sys.argv[1]), **RELATED, synthesizer='HMA'))\n"
            "print(rows_of(made.synthetic).sum().hex())\n"
        )
        found = subprocess.run(
            [sys.executable, "-W", "error", "-c", code, str(folder)],
            capture_output=True,
            text=True,
            check=True,
            cwd=Path(__file__).parent,
            env={"PYTHONHASHSEED": "3", "PYTHONPATH": str(Path(__file__).parent)},
        )
        made = tables_of(loaded(folder, **RELATED, synthesizer="HMA"))
        assert found.stdout.strip() == rows_of(made.synthetic).sum().hex()


class TestPar:
    @needs_sdv
    def test_sequences_are_subjects(self, folder: Path) -> None:
        table = {"synthesizer": "PAR", "epochs": 1, "sequence_index": "step"}
        found = tables_of(loaded(folder, **SEQUENCES, **table, rows=30))
        assert found.original.names == ("step", "weight", "ward")
        assert found.synthetic is not None
        assert len(found.synthetic) == 30
        counts = np.bincount(found.synthetic.subjects)
        assert (counts[:-1] >= 3).all()  # as long as those that it was fitted on
        assert (counts <= 5).all()

    @needs_sdv
    def test_a_saved_one_must_tell_sequences_apart_as_the_plan_does(self, folder: Path) -> None:
        frame = visits(1).to_pandas()
        with quiet():
            from sdv.metadata import Metadata
            from sdv.sequential import PARSynthesizer

            metadata = Metadata.load_from_dict(
                {
                    "tables": {
                        "visits": {
                            "sequence_key": "who",
                            "columns": {
                                "who": {"sdtype": "id"},
                                "step": {"sdtype": "numerical"},
                                "weight": {"sdtype": "numerical"},
                                "ward": {"sdtype": "categorical"},
                            },
                        }
                    },
                    "relationships": [],
                }
            )
            synthesizer = PARSynthesizer(metadata, epochs=1, cuda=False)
            synthesizer.fit({"visits": frame})
            synthesizer.save(folder / "par.pkl")
        saved = {"path": "par.pkl", "trust": True, **SEQUENCES}
        found, same = (tables_of(loaded(folder, **saved)) for _ in range(2))
        assert found.synthetic is not None
        assert len(np.unique(found.synthetic.subjects)) == 20
        assert (rows_of(found.synthetic) == rows_of(same.synthetic)).all()
        with pytest.raises(BadValue, match=r'\[target\] subject: found "ward", expected "who"'):
            loaded(folder, **saved | {"subject": "ward"})


def wide(parents: Table, children: Table) -> Table:
    return joined((*parents.columns, *children.columns), parents, children)


def small(owners: list[int], values: list[float], n: int) -> tuple[Table, Table]:
    age = Column(name="age", kind=Kind.NUMERIC)
    shop = Column(name="shop", kind=Kind.CATEGORICAL, levels=("a", "b"))
    amount = Column(name="amount", kind=Kind.NUMERIC)
    parents = Table(columns=(age,), values=(np.arange(n) * 1.0,), subjects=np.arange(n))
    codes = np.arange(len(owners)) % 2
    children = Table(
        columns=(amount, shop), values=(np.array(values), codes), subjects=np.array(owners, int)
    )
    return parents, children


@given(st.lists(st.tuples(st.integers(0, 5), st.floats(-9, 9)), max_size=12))
@settings(max_examples=40, deadline=None)
def test_tables_come_apart_as_they_were_joined(rows: list[tuple[int, float]]) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    parents, children = small([owner for owner, _ in rows], [value for _, value in rows], 6)
    table = wide(parents, children)
    assert len(table) == len(rows) + len(set(range(6)) - {owner for owner, _ in rows})
    found, below = apart(table, ("amount", "shop"), "")
    assert found.subjects.tolist() == parents.subjects.tolist()
    assert found.values[0].tolist() == parents.values[0].tolist()
    assert below.subjects.tolist() == children.subjects.tolist()
    assert [v.tolist() for v in below.values] == [v.tolist() for v in children.values]


class TestColumnsOfChildren:
    def fitted(self, child_columns: tuple[str, ...]) -> None:
        parents, children = small([0, 0, 1], [1.0, 2.0, 3.0], 3)
        options = GeneratorOptions(synthesizer="HMA", child_columns=child_columns)
        fit(options, wide(parents, children), 1, at="[shadows]", what="generator 0")

    @needs_sdv
    def test_a_parent_that_varies_is_named(self) -> None:
        with pytest.raises(BadRecord, match=r"column 'amount', row 1.*child_columns"):
            self.fitted(("shop",))

    @needs_sdv
    @pytest.mark.parametrize(
        ("names", "found"), [((), "no column"), (("age", "amount", "shop"), "all columns")]
    )
    def test_both_sides_have_columns(self, names: tuple[str, ...], found: str) -> None:
        with pytest.raises(BadValue, match=f"found {found}"):
            self.fitted(names)

    @needs_sdv
    def test_a_name_that_is_none_is_refused(self) -> None:
        with pytest.raises(UnknownName, match="Did you mean 'shop'"):
            self.fitted(("shops",))
