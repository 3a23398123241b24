from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, Literal

import pytest
from attrs import field, frozen, validators

from leakpro_core.errors import (
    BadValue,
    DuplicateName,
    LeakProError,
    MissingKey,
    PluginBroken,
    UnknownKey,
    WrongType,
)
from leakpro_core.offers import Access
from leakpro_core.options import build
from leakpro_core.references import ImportPath

FOLDER = Path("/plans")


@frozen(kw_only=True)
class Recipe:
    lr: float = field(default=1e-3, validator=validators.gt(0.0))
    optimiser: Literal["sgd", "adam", "adamw"] = "adam"


@frozen(kw_only=True)
class Every:
    flag: bool = False
    count: int = field(default=1, validator=[validators.ge(0), validators.lt(100)])
    rate: float = 0.5
    text: str = ""
    day: date | None = None
    file: Path | None = None
    factory: ImportPath | None = None
    access: Access = Access.LOGITS
    width: Literal[32, 64] = 32
    either: float | Literal["auto"] = "auto"
    sizes: tuple[int, ...] = ()
    names: tuple[str, ...] = field(
        default=(), validator=validators.deep_iterable(validators.in_(("left", "right")))
    )
    kinds: frozenset[str] = frozenset()
    budgets: Mapping[float, float] = field(factory=dict)
    shares: Mapping[str, float] = field(factory=dict)
    code: str = field(default="a", validator=validators.matches_re("[a-z]"))
    recipe: Recipe = Recipe()
    steps: tuple[Recipe, ...] = ()


def built(**table: object) -> Every:
    return build(Every, table, at="[t]", folder=FOLDER)


def refusal(**table: object) -> tuple[type[LeakProError], str]:
    with pytest.raises(LeakProError) as caught:
        built(**table)
    return type(caught.value), str(caught.value)


@pytest.mark.parametrize(
    ("key", "given", "expected"),
    [
        ("flag", True, True),
        ("count", 3, 3),
        ("rate", 0.25, 0.25),
        ("rate", 2, 2.0),
        ("text", "3", "3"),
        ("day", date(2026, 9, 1), date(2026, 9, 1)),
        ("file", "a/../b.npz", FOLDER / "b.npz"),
        ("file", "/c.npz", Path("/c.npz")),
        ("factory", "models.mlp:build", ImportPath("models.mlp:build", FOLDER)),
        ("access", "top-k", Access.TOP_K),
        ("width", 64, 64),
        ("either", "auto", "auto"),
        ("either", 1, 1.0),
        ("sizes", [1, 2], (1, 2)),
        ("kinds", ["a", "b"], frozenset("ab")),
        ("shares", {"a": 1, "b": 0.5}, {"a": 1.0, "b": 0.5}),
        ("recipe", {"lr": 1}, Recipe(lr=1.0)),
        ("steps", [{"lr": 0.1}, {}], (Recipe(lr=0.1), Recipe())),
    ],
)
def test_a_value_of_the_right_type_is_taken(key: str, given: object, expected: object) -> None:
    taken = getattr(built(**{key: given}), key)

    assert expected == taken
    assert type(expected) is type(taken)


def test_bare_dotted_keys_of_numbers_are_joined_again() -> None:
    # what tomllib makes of { 0.01 = 0.03, 0.001 = 0.01, "0.1" = 0.2, 1e-4 = 0.002 }
    nested = {"0": {"01": 0.03, "001": 0.01}, "0.1": 0.2, "1e-4": 0.002}

    assert built(budgets=nested).budgets == {0.01: 0.03, 0.001: 0.01, 0.1: 0.2, 1e-4: 0.002}


@pytest.mark.parametrize(
    ("table", "kind", "message"),
    [
        (
            {"count": "3"},
            WrongType,
            '[t] count: found the string "3", expected an integer. Write it without quotes.',
        ),
        ({"count": True}, WrongType, "[t] count: found the boolean true, expected an integer"),
        ({"count": 3.0}, WrongType, "[t] count: found the number 3.0, expected an integer"),
        ({"count": 2**63}, BadValue, f"[t] count: found {2**63}, expected an integer of at most"),
        (
            {"count": 1 << 70_000},
            BadValue,
            "[t] count: found an integer of more than 64 bits, expected an integer of at most",
        ),
        ({"count": -1}, BadValue, "[t] count: found -1, expected >= 0"),
        ({"count": 100}, BadValue, "[t] count: found 100, expected < 100"),
        ({"flag": 1}, WrongType, "[t] flag: found the integer 1, expected true or false"),
        ({"rate": True}, WrongType, "[t] rate: found the boolean true, expected a number"),
        ({"rate": float("nan")}, BadValue, "[t] rate: found nan, expected a finite number"),
        ({"rate": float("-inf")}, BadValue, "[t] rate: found -inf, expected a finite number"),
        ({"text": 3}, WrongType, "[t] text: found the integer 3, expected a string"),
        ({"text": ["a"]}, WrongType, "[t] text: found a list, expected a string"),
        ({"day": "2026-09-01"}, WrongType, "[t] day: found the string"),
        ({"text": date(2026, 9, 1)}, WrongType, "[t] text: found the date 2026-09-01"),
        ({"file": ""}, BadValue, '[t] file: found "", expected a path, as a string'),
        ({"file": "a\0b"}, BadValue, '[t] file: found "a\\u0000b", expected a path, as a string'),
        ({"factory": "models"}, BadValue, '[t] factory: found "models", expected an import path'),
        ({"access": "logit"}, BadValue, '[t] access: found "logit", expected one of'),
        ({"width": "32"}, WrongType, '[t] width: found the string "32", expected one of 32, 64'),
        ({"width": 32.0}, WrongType, "[t] width: found the number 32.0, expected one of 32, 64"),
        ({"width": 48}, BadValue, "[t] width: found 48, expected one of 32, 64"),
        ({"either": "atuo"}, BadValue, '[t] either: found "atuo", expected "auto"'),
        ({"either": True}, WrongType, '[t] either: found the boolean true, expected a number or "'),
        ({"sizes": 3}, WrongType, "[t] sizes: found the integer 3, expected a list"),
        ({"sizes": "12"}, WrongType, '[t] sizes: found the string "12", expected a list'),
        ({"sizes": [1, "2"]}, WrongType, '[t] sizes.2: found the string "2", expected an integer'),
        (
            {"names": ["left", "rihgt"]},
            BadValue,
            '[t] names: found "rihgt", expected one of "left", "right". Did you mean \'right\'?',
        ),
        ({"kinds": ["a", "a"]}, DuplicateName, '[t] kinds: found "a" twice, expected each value'),
        ({"budgets": {"a": 1.0}}, WrongType, '[t] budgets.a: found the key "a", expected a number'),
        ({"budgets": {"0.1": 1, "1e-1": 2}}, DuplicateName, "[t] budgets.1e-1: found 0.1 twice"),
        (
            {"budgets": {"0": {"01": "x"}}},
            WrongType,
            '[t] budgets.0.01: found the string "x", expected a number',
        ),
        ({"budgets": {"0": {"1": {"2": 1}}}}, WrongType, "[t] budgets.0.1: found a table, expect"),
        ({"code": "A"}, BadValue, '[t] code: found "A", expected text like [a-z]'),
        ({"recipe": 3}, WrongType, "[t] recipe: found the integer 3, expected a table"),
        ({"recipe": {"lr": 0}}, BadValue, "[t] recipe.lr: found 0.0, expected > 0.0"),
        (
            {"recipe": {"optimizer": "adam"}},
            UnknownKey,
            "[t] recipe.optimizer: found an unknown key. Did you mean 'optimiser'?",
        ),
        ({"steps": [{}, {"lr": "x"}]}, WrongType, "[t] steps.2.lr: found the string"),
        ({"cuont": 3}, UnknownKey, "[t] cuont: found an unknown key. Did you mean 'count'?"),
        ({"two\nlines": 3}, UnknownKey, '[t] "two\\nlines": found an unknown key. Known: '),
    ],
)
def test_a_mistake_is_one_line_with_its_path(
    table: dict[str, object], kind: type[LeakProError], message: str
) -> None:
    found, line = refusal(**table)

    assert kind is found
    assert message == line[: len(message)]
    assert len(line.splitlines()) == 1


def test_what_is_needed_and_missing_is_named() -> None:
    @frozen(kw_only=True)
    class Needs:
        path: Path

    with pytest.raises(MissingKey) as caught:
        build(Needs, {}, at="[target]", folder=FOLDER)

    assert str(caught.value) == "[target] path: found nothing, expected a path, as a string"


def test_keys_that_are_read_elsewhere_are_known_when_one_is_misspelt() -> None:
    with pytest.raises(UnknownKey) as caught:
        build(Recipe, {"trainr": 1}, at="[shadows]", folder=FOLDER, also=["trainer"])

    assert str(caught.value) == "[shadows] trainr: found an unknown key. Did you mean 'trainer'?"


def test_what_a_whole_table_gets_wrong_is_said_of_the_table() -> None:
    @frozen(kw_only=True)
    class Ordered:
        low: int = 0
        high: int = 1

        def __attrs_post_init__(self) -> None:
            if self.low > self.high:
                raise ValueError("low <= high")

    with pytest.raises(BadValue) as caught:
        build(Ordered, {"low": 2}, at="[t]", folder=FOLDER)

    assert str(caught.value) == "[t]: expected low <= high"


@pytest.mark.parametrize("kind", [Any, list[int], dict[str, Any], tuple[int, str], bytes, object])
def test_an_option_of_another_type_is_the_plugins_mistake(kind: Any) -> None:
    @frozen(kw_only=True)
    class Odd:
        value: kind = None

    with pytest.raises(PluginBroken, match=r"^\[t\] value: found an option of type "):
        build(Odd, {"value": "x"}, at="[t]", folder=FOLDER)
