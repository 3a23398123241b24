"""The reference pages come from the code, and leave nothing out."""

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import attrs
import pytest

from leakpro_core import hookspecs, plan, report
from leakpro_core.judge import words

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def pages() -> Iterator[ModuleType]:
    sys.path.insert(0, str(DOCS / "_ext"))
    try:
        import pages

        yield pages
    finally:
        sys.path.remove(str(DOCS / "_ext"))


@pytest.mark.parametrize("name", hookspecs.HOOKS)
def test_every_hook_has_a_heading_with_its_exact_arguments(pages, name):
    arguments = ", ".join(inspect.signature(getattr(hookspecs, name)).parameters)
    assert f"## `{name}({arguments})`" in pages.hooks().splitlines()


def test_every_field_of_an_offer_is_explained(pages):
    rows = [line for line in pages.hooks().splitlines() if line.startswith("| `")]
    assert rows
    assert not [row for row in rows if row.endswith("|  |")]


@pytest.mark.parametrize("name", hookspecs.HOOKS)
def test_every_hook_has_a_test_of_its_name(name):
    tests = (ROOT / "tests" / "test_hookspecs.py").read_text()
    assert f"def test_hook_{name}(" in tests


def test_hooks_lists_every_hook_of_the_specs():
    declared = {name for name in vars(hookspecs) if name.startswith("leakpro_")}
    assert declared == set(hookspecs.HOOKS)


def test_every_error_is_documented_in_a_full_sentence(pages):
    text = pages.every_error()
    for kind in pages.error_classes():
        assert f"## `{kind.__name__}`" in text
        assert inspect.getdoc(kind).endswith("."), kind


def test_every_record_of_the_report_is_documented(pages):
    text = pages.report_schema()
    for kind in vars(report).values():
        if inspect.isclass(kind) and attrs.has(kind):
            assert f"## `{kind.__name__}`" in text
            for attribute in attrs.fields(kind):
                assert f"| `{attribute.name}` |" in text


def test_every_key_of_a_plan_and_every_option_is_explained(pages):
    text = pages.plan_keys()
    rows = [row for row in text.splitlines() if row.startswith("| `")]
    assert not [row for row in rows if row.endswith("|  |")]
    for kind in (plan.DataPlan, plan.Adversary, plan.Policy, plan.Controls):
        for attribute in attrs.fields(kind):
            assert f"| `{attribute.name}` |" in text


def test_a_docstring_explains_names_at_line_starts_and_after_a_stop_or_semicolon(pages):
    docstring = """Lead.

    a: one; b, c: two
    and more. d: not a name that was asked for.

    After.
    """
    rest = "two and more. d: not a name that was asked for"
    expected = ("Lead.\n\nAfter.", {"a": "one", "b": rest, "c": rest})
    assert expected == pages.explained(docstring, ("a", "b", "c"))


def test_code_in_the_pages_is_taken_from_files_that_are_tested():
    for page in DOCS.glob("*.md"):
        fences = re.findall(r"^```(\S*)", page.read_text(), re.MULTILINE)
        assert set(fences) <= {"", "sh", "text", "{toctree}", "{include}", "{literalinclude}"}, page


def test_every_word_of_a_verdict_has_a_row_with_what_the_judge_says():
    page = (DOCS / "verdicts.md").read_text()
    rows = re.findall(r"^\| ([a-z ]+) \| .* \| (.*) \|$", page, re.MULTILINE)
    assert {word.value for word in report.Word} == {word for word, _ in rows if word != "word"}
    for word, sentence in words._SAID.items():
        assert sentence == dict(rows)[word.value]


def test_every_exit_code_of_an_error_is_documented(pages):
    page = (DOCS / "reference" / "exit-codes.md").read_text()
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    assert {0, 1, 2, 3, 4, 64} == documented
    assert {kind.exit_code for kind in pages.error_classes()} <= documented


def test_every_make_target_that_is_named_exists():
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"^\.PHONY: (\w+)$", makefile, re.MULTILINE))
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("*.md")):
        assert set(re.findall(r"\bmake (\w+)`", page.read_text())) <= targets, page


def test_every_result_of_the_evidence_is_shown(pages):
    shown = pages.PAGES["evidence"]() + pages.PAGES["performance"]()
    for result in (ROOT / "bench" / "results").glob("*.json"):
        assert f"## {result.stem.replace('_', ' ')}" in shown


def test_every_page_that_the_code_or_the_readme_names_exists():
    sources = [
        *ROOT.glob("*.md"),
        *ROOT.glob("leakpro_core/**/*.py"),
        *ROOT.glob("plugins/*/src/**/*.py"),
    ]
    named = {
        page
        for source in sources
        for page in re.findall(r"\bdocs/[\w/-]+\.md\b", source.read_text())
    }
    assert named
    assert not [page for page in named if not (ROOT / page).is_file()]
