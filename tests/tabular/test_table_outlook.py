"""What is said before an audit of a table is run."""

from attrs import evolve
from fake_tables import Options, load, plan

from leakpro_core.tabular.outlook import outlook
from leakpro_core.testing.runs import SilentLog


def said(tmp_path, release, more=""):
    return list(outlook(plan(tmp_path, "near", more=more), release, SilentLog()))


def test_it_tells_kinds_notes_and_which_columns_are_guessed(tmp_path):
    release = evolve(load(Options(), None), notes=("Column number is odd.",))
    lines = said(tmp_path, release, more='[games]\nsecrets = ["town"]\n')
    columns = next(line for line in lines if line.startswith("columns: "))
    assert "balance (numeric), visits (numeric), day (datetime), town (categorical)" in columns
    assert "note: Column number is odd." in lines
    assert "attribute inference: of 1 of 5 columns, town" in lines


def test_columns_without_a_name_are_seen(tmp_path):
    release = load(Options(), None)
    unnamed = {
        role: evolve(table, columns=(evolve(table.columns[0], name=" "), *table.columns[1:]))
        for role in ("synthetic", "original", "control", "auxiliary")
        if (table := getattr(release.tables, role)) is not None
    }
    lines = said(tmp_path, evolve(release, tables=evolve(release.tables, **unnamed)))
    assert any(line.startswith('columns: " " (numeric), visits') for line in lines)


def test_it_tells_whether_single_people_can_be_tested(tmp_path):
    release = load(Options(targets=1), None)
    for count, expected in (
        (6, "one person at a time: nobody; 14 shadow generators are needed"),
        (40, "one person at a time: of the 24 people who are most unlike others"),
    ):
        more = f'[shadows]\ntrainer = "rows"\ncount = {count}\n'
        lines = list(outlook(plan(tmp_path, "near", more=more, shadows=2), release, SilentLog()))
        assert f"    {expected}" in lines
