import hashlib
import string
import tomllib
from pathlib import Path
from typing import Literal, TypeVar

import pytest
from attrs import field, frozen, validators
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from leakpro_core.errors import (
    BadValue,
    DuplicateName,
    LeakProError,
    MissingFile,
    MissingKey,
    PlanSyntaxError,
    PluginBroken,
    UnknownKey,
    UnknownName,
    WrongType,
    nearest,
)
from leakpro_core.offers import (
    Access,
    AttackOffer,
    ExecutorOffer,
    LoaderOffer,
    Offer,
    ReporterOffer,
    TrainerOffer,
)
from leakpro_core.parser import read, resolve
from leakpro_core.plan import Adversary, Controls, DataPlan, Plan, Policy
from leakpro_core.plugins import Offered
from leakpro_core.references import ImportPath

OfferT = TypeVar("OfferT", bound=Offer)

# What stands in for installed plugins: their options classes, and their offers.


@frozen(kw_only=True)
class ModelOptions:
    factory: ImportPath
    weights: Path | None = None


@frozen(kw_only=True)
class Recipe:
    lr: float = field(default=1e-3, validator=validators.gt(0.0))
    epochs: int = 10


@frozen(kw_only=True)
class TrainerOptions:
    factory: ImportPath | None = None
    recipe: Recipe = Recipe()


@frozen(kw_only=True)
class LiraOptions:
    variance: Literal["pooled", "per-record"] = "pooled"


@frozen(kw_only=True)
class LocalOptions:
    workers: int = field(default=1, validator=validators.ge(0))


def offered(kind: type[OfferT], name: str, options: str | None = None, **more: str) -> Offered:
    ref = None if options is None else f"{__name__}:{options}"
    offer = kind(name=name, ref="m:f", options=ref, **more)
    return Offered(offer=offer, plugin="leakpro-some", version="1.0.0")


def attack(name: str, options: str | None = None, game: str = "membership") -> Offered:
    return offered(AttackOffer, name, options, game=game, reference="")


@frozen(kw_only=True)
class Installed:
    loaders: tuple[Offered, ...] = (
        offered(LoaderOffer, "arrays"),
        offered(LoaderOffer, "torch", "ModelOptions"),
    )
    trainers: tuple[Offered, ...] = (offered(TrainerOffer, "torch", "TrainerOptions"),)
    attacks: tuple[Offered, ...] = (
        attack("lira", "LiraOptions"),
        attack("loss"),
        attack("singling", game="singling-out"),
    )
    reporters: tuple[Offered, ...] = (
        offered(ReporterOffer, "html"),
        offered(ReporterOffer, "json"),
        offered(ReporterOffer, "terminal"),
    )
    executors: tuple[Offered, ...] = (offered(ExecutorOffer, "local", "LocalOptions"),)

    def _named(self, kind: str, offers: tuple[Offered, ...], name: str) -> Offered:
        for each in offers:
            if each.offer.name == name:
                return each
        raise UnknownName(f"{kind} {name!r}", fix=nearest(name, [o.offer.name for o in offers]))

    def loader(self, name: str) -> Offered[LoaderOffer]:
        return self._named("loader", self.loaders, name)

    def trainer(self, name: str) -> Offered[TrainerOffer]:
        return self._named("trainer", self.trainers, name)

    def attack(self, name: str) -> Offered[AttackOffer]:
        return self._named("attack", self.attacks, name)

    def reporter(self, name: str) -> Offered[ReporterOffer]:
        return self._named("reporter", self.reporters, name)

    def executor(self, name: str) -> Offered[ExecutorOffer]:
        return self._named("executor", self.executors, name)


SHORTEST = 'schema = 1\n[target]\nloader = "arrays"\n'

WHOLE = """\
schema = 1
name = "location-30 classifier"
seed = 7
registry = "registry.toml"

[target]
loader = "torch"
factory = "my_models:location_mlp"
weights = "target.safetensors"

[data]
path = "location30.npz"
members = "members.npy"
subjects = "who"
sampling = "all"

[[adversary]]
name = "public API user"
label = "realistic"
access = "logits"
queries = 200_000
knows = ["candidate records", "recipe"]

[[adversary]]
access = "top-k"
top_k = 3

[shadows]
trainer = "torch"
count = 8
recipe = { lr = 1e-2, epochs = 40 }

[execution]
executor = "local"
workers = 2

[[attacks]]
name = "lira"
variance = "per-record"

[[attacks]]
name = "lira"
label = "lira, pooled"

[policy]
tolerance = { 0.01 = 0.03, 0.001 = 0.01 }
tenth_tolerance = { "0.1" = 0.25 }
confidence = 0.9
headline = "lira"

[controls]
placebo = 2
blind = false

[report]
formats = ["json", "html"]
"""


def parsed(text: str | bytes, folder: Path) -> Plan:
    path = folder / "audit.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return resolve(read(path), Installed())


def refusal(text: str | bytes, folder: Path) -> tuple[type[LeakProError], str]:
    with pytest.raises(LeakProError) as caught:
        parsed(text, folder)
    return type(caught.value), str(caught.value)


def test_every_table_but_target_has_defaults(tmp_path: Path) -> None:
    plan = parsed(SHORTEST, tmp_path)

    assert plan.name == "audit"
    assert plan.seed == 0
    assert hashlib.sha256(SHORTEST.encode()).hexdigest() == plan.sha256
    assert DataPlan() == plan.data
    assert (Adversary(),) == plan.adversaries
    assert plan.shadows is None
    assert LocalOptions() == plan.executor.options
    assert Policy() == plan.policy
    assert Controls() == plan.controls
    assert [r.offered.offer.name for r in plan.reporters] == ["json", "terminal", "html"]


def test_without_attacks_all_of_the_membership_game_are_played(tmp_path: Path) -> None:
    plan = parsed(SHORTEST, tmp_path)

    assert [("lira", LiraOptions(), False), ("loss", None, False)] == [
        (a.label, a.options, a.named) for a in plan.attacks
    ]


def test_html_is_rendered_by_default_only_if_it_is_offered(tmp_path: Path) -> None:
    (tmp_path / "audit.toml").write_text(SHORTEST)
    bare = Installed(reporters=Installed().reporters[1:])

    plan = resolve(read(tmp_path / "audit.toml"), bare)

    assert [r.offered.offer.name for r in plan.reporters] == ["json", "terminal"]


def test_a_whole_plan_is_read(tmp_path: Path) -> None:
    plan = parsed(WHOLE, tmp_path)

    assert (plan.name, plan.seed) == ("location-30 classifier", 7)
    assert (
        ModelOptions(
            factory=ImportPath("my_models:location_mlp", tmp_path),
            weights=tmp_path / "target.safetensors",
        )
        == plan.loader.options
    )
    assert (
        DataPlan(
            path=tmp_path / "location30.npz",
            members=str(tmp_path / "members.npy"),
            subjects="who",
            sampling="all",
        )
        == plan.data
    )
    assert (
        Adversary(
            name="public API user",
            label="realistic",
            queries=200_000,
            knows=("candidate records", "recipe"),
        ),
        Adversary(access=Access.TOP_K, top_k=3),
    ) == plan.adversaries
    assert plan.shadows is not None
    assert (plan.shadows.count, plan.shadows.pool) == (8, "candidates")
    assert TrainerOptions(recipe=Recipe(lr=0.01, epochs=40)) == plan.shadows.options
    assert LocalOptions(workers=2) == plan.executor.options
    assert [
        ("lira", LiraOptions(variance="per-record"), True),
        ("lira, pooled", LiraOptions(), True),
    ] == [(a.label, a.options, a.named) for a in plan.attacks]
    assert (
        Policy(
            tolerance={0.01: 0.03, 0.001: 0.01},
            tenth_tolerance={0.1: 0.25},
            confidence=0.9,
            headline="lira",
        )
        == plan.policy
    )
    assert Controls(placebo=2, blind=False) == plan.controls
    assert [r.offered.offer.name for r in plan.reporters] == ["json", "html"]


def test_the_registry_is_known_before_any_plugin(tmp_path: Path) -> None:
    (tmp_path / "audit.toml").write_text(WHOLE)

    assert tmp_path / "registry.toml" == read(tmp_path / "audit.toml").registry


def test_a_mark_of_byte_order_is_no_mistake(tmp_path: Path) -> None:
    assert parsed(b"\xef\xbb\xbf" + SHORTEST.encode(), tmp_path).seed == 0


# Mistakes: what stands in the plan instead, and the line that the user sees.

MISTAKES: list[tuple[str, str, type[LeakProError], str]] = [
    ("schema = 1", "", MissingKey, "schema: found nothing, expected 1"),
    ("schema = 1", "schema = 2", BadValue, "schema: found 2, expected 1"),
    ("schema = 1", "schema = true", WrongType, "schema: found the boolean true, expected 1"),
    (
        "seed = 7",
        'seed = "7"',
        WrongType,
        'seed: found the string "7", expected an integer. Write it without quotes.',
    ),
    ("seed = 7", "seed = -7", BadValue, "seed: found -7, expected >= 0"),
    ("seed = 7", "sede = 7", UnknownKey, "sede: found an unknown key. Did you mean 'seed'?"),
    ("[shadows]", "[shadow]", UnknownKey, "shadow: found an unknown key. Did you mean 'shadows'?"),
    (
        "[[adversary]]\naccess",
        "[adversary]\naccess",
        PlanSyntaxError,
        "plan \"audit.toml\" is not TOML: Cannot declare ('adversary',) twice "
        "(at line 24, column 11)",
    ),
    ('loader = "torch"', "", MissingKey, "[target] loader: found nothing, expected a string"),
    (
        'loader = "torch"',
        'loader = "troch"',
        UnknownName,
        '[target] loader: found "troch", '
        "expected one that an installed plugin offers. Did you mean 'torch'?",
    ),
    (
        'loader = "torch"',
        'loader = "arrays"',
        UnknownKey,
        "[target] factory: found an unknown key. Known: loader.",
    ),
    (
        'factory = "my_models:location_mlp"\n',
        "",
        MissingKey,
        "[target] factory: found nothing, "
        'expected an import path, as a string of the form "package.module:callable"',
    ),
    (
        "sampling =",
        "samplign =",
        UnknownKey,
        "[data] samplign: found an unknown key. Did you mean 'sampling'?",
    ),
    (
        'sampling = "all"',
        'sampling = "every"',
        BadValue,
        '[data] sampling: found "every", expected one of "all", "random", "other"',
    ),
    (
        'path = "location30.npz"',
        "",
        BadValue,
        "[data]: expected path or factory beside the names of arrays",
    ),
    (
        'path = "location30.npz"',
        'path = "x.npz"\nfactory = "m:f"',
        BadValue,
        "[data]: expected path or factory, not both",
    ),
    (
        "queries = 200_000",
        "queries = 0",
        BadValue,
        "[[adversary]] 1 (public API user) queries: found 0, expected >= 1",
    ),
    (
        '"recipe"]',
        '"receipt"]',
        BadValue,
        '[[adversary]] 1 (public API user) knows: found "receipt", expected one of "candidate '
        'records", "auxiliary population", "architecture", "recipe", "labels", "batch size", '
        '"hyper-parameters", "batch-norm statistics". Did you mean \'recipe\'?',
    ),
    (
        "top_k = 3",
        "",
        BadValue,
        '[[adversary]] 2: expected top_k where access = "top-k", and only there',
    ),
    (
        'access = "top-k"',
        'access = "top_k"',
        BadValue,
        '[[adversary]] 2 access: found "top_k", expected one of "labels", "top-k", "confidences", '
        '"logits", "weights", "samples", "update". Did you mean \'top-k\'?',
    ),
    (
        'access = "top-k"',
        'name = "Public API user"\naccess = "top-k"',
        DuplicateName,
        '[[adversary]] 2 name: found "Public API user", which is that of [[adversary]] 1 too, '
        'expected a name of its own. Give one of them another name = "...".',
    ),
    (
        'name = "public API user"',
        'name = "a/b"',
        BadValue,
        '[[adversary]] 1 (a/b) name: found "a/b", expected at most 64 letters, digits, spaces and '
        ". , + ( ) - _, a letter first",
    ),
    ('trainer = "torch"', "", MissingKey, "[shadows] trainer: found nothing, expected a string"),
    ("count = 8", "count = -8", BadValue, "[shadows] count: found -8, expected >= 0"),
    (
        "count = 8",
        "cuont = 8",
        UnknownKey,
        "[shadows] cuont: found an unknown key. Did you mean 'count'?",
    ),
    (
        "count = 8",
        'pool = "all"',
        BadValue,
        '[shadows] pool: found "all", expected one of "candidates", "auxiliary"',
    ),
    (
        "lr = 1e-2",
        'lr = "fast"',
        WrongType,
        '[shadows] recipe.lr: found the string "fast", expected a number',
    ),
    ("lr = 1e-2", "lr = 0.0", BadValue, "[shadows] recipe.lr: found 0.0, expected > 0.0"),
    ("lr = 1e-2", "lr = nan", BadValue, "[shadows] recipe.lr: found nan, expected a finite number"),
    (
        "epochs = 40",
        "epoch = 40",
        UnknownKey,
        "[shadows] recipe.epoch: found an unknown key. Did you mean 'epochs'?",
    ),
    (
        "workers = 2",
        "workers = 2.0",
        WrongType,
        "[execution] workers: found the number 2.0, expected an integer",
    ),
    (
        'executor = "local"',
        'executor = "ray"',
        UnknownName,
        '[execution] executor: found "ray", '
        "expected one that an installed plugin offers. Known: local.",
    ),
    (
        'name = "lira"\nvariance',
        'name = "lirra"\nvariance',
        UnknownName,
        '[[attacks]] 1 name: found "lirra", expected one that an installed plugin offers. '
        "Did you mean 'lira'?",
    ),
    (
        'variance = "per-record"',
        'variance = "poled"',
        BadValue,
        "[[attacks]] 1 (lira) variance: "
        'found "poled", expected one of "pooled", "per-record". Did you mean \'pooled\'?',
    ),
    (
        'variance = "per-record"',
        "variance = 1",
        WrongType,
        "[[attacks]] 1 (lira) variance: found "
        'the integer 1, expected one of "pooled", "per-record"',
    ),
    (
        'label = "lira, pooled"',
        "",
        DuplicateName,
        '[[attacks]] 2 label: found "lira", which is '
        "that of [[attacks]] 1 too, expected a label of its own. Give one of them another "
        'label = "...".',
    ),
    (
        'label = "lira, pooled"',
        'label = "../lira"',
        BadValue,
        "[[attacks]] 2 (lira) label: found "
        '"../lira", expected at most 64 letters, digits, spaces and . , + ( ) - _, a letter first',
    ),
    (
        "0.001 = 0.01",
        "0.001 = 0.001",
        BadValue,
        "[policy] tolerance: found { 0.01 = 0.03, 0.001 = "
        "0.001 }, expected FPR = TPR that is tolerated, 0 < FPR < TPR < 1",
    ),
    (
        "0.001 = 0.01",
        '0.001 = "0.01"',
        WrongType,
        "[policy] tolerance.0.001: found the string "
        '"0.01", expected a number. Write it without quotes.',
    ),
    (
        "0.001 = 0.01",
        '"0.010" = 0.01',
        DuplicateName,
        "[policy] tolerance.0.010: found 0.01 twice, expected each key once",
    ),
    (
        "confidence = 0.9",
        "confidence = 1",
        BadValue,
        "[policy] confidence: found 1.0, expected < 1.0",
    ),
    (
        "confidence = 0.9",
        "confidance = 0.9",
        UnknownKey,
        "[policy] confidance: found an unknown key. Did you mean 'confidence'?",
    ),
    (
        'headline = "lira"',
        'headline = "loss"',
        UnknownName,
        '[policy] headline: found "loss", '
        "expected the label of an attack of the plan. Known: lira, lira, pooled.",
    ),
    (
        "blind = false",
        "blind = 0",
        WrongType,
        "[controls] blind: found the integer 0, expected true or false",
    ),
    (
        '["json", "html"]',
        '["json", "pdf"]',
        UnknownName,
        '[report] formats: found "pdf", '
        "expected one that an installed plugin offers. Known: html, json, terminal.",
    ),
    (
        '["json", "html"]',
        '["json", "json"]',
        DuplicateName,
        '[report] formats: found "json" twice, expected once',
    ),
    ('["json", "html"]', "[]", BadValue, "[report] formats: found [], expected length >= 1"),
    (
        '["json", "html"]',
        '"json"',
        WrongType,
        '[report] formats: found the string "json", expected a list',
    ),
]


@pytest.mark.parametrize(("right", "wrong", "kind", "message"), MISTAKES)
def test_a_mistake_is_one_line_with_its_path(
    right: str, wrong: str, kind: type[LeakProError], message: str, tmp_path: Path
) -> None:
    assert WHOLE.count(right) == 1

    assert (kind, message) == refusal(WHOLE.replace(right, wrong), tmp_path)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        ("schema = 1", MissingKey, '[target]: found nothing, expected a table with loader = "..."'),
        (
            'target = "x"\nschema = 1',
            WrongType,
            'target: found the string "x", expected a table, [target]',
        ),
        (
            SHORTEST + "[adversary]",
            WrongType,
            "adversary: found a table, expected [[adversary]], a table in double brackets each",
        ),
        (
            "attacks = [1]\n" + SHORTEST,
            WrongType,
            "[[attacks]] 1: found the integer 1, expected a table",
        ),
        (
            "attacks = []\n" + SHORTEST,
            BadValue,
            "attacks: found an empty list, expected at least one. Or leave the key out.",
        ),
        (
            "schema = \n",
            PlanSyntaxError,
            'plan "audit.toml" is not TOML: Invalid value (at line 1, column 10)',
        ),
        (
            "schema = 1\nname = [",
            PlanSyntaxError,
            'plan "audit.toml" is not TOML: Invalid value (at line 2, column 9)',
        ),
        (
            b"schema = 1\nname = '\xff'",
            PlanSyntaxError,
            'plan "audit.toml": found a byte that is '
            "not UTF-8 at line 2, column 9. Save the file as UTF-8.",
        ),
        (
            "a = " + "1" * 5000,
            PlanSyntaxError,
            'plan "audit.toml" is not TOML: Exceeds the limit (4300 digits) for integer string '
            "conversion: value has 5000 digits; use sys.set_int_max_str_digits() to increase the "
            "limit (at line 1, column 5005)",
        ),
        (
            "a = " + "[" * 5000,
            PlanSyntaxError,
            'plan "audit.toml" is not TOML: Nested too deeply (at line 1, column 5005)',
        ),
    ],
)
def test_what_is_no_plan_is_said_in_one_line(
    text: str | bytes, kind: type[LeakProError], message: str, tmp_path: Path
) -> None:
    assert (kind, message) == refusal(text, tmp_path)


def test_a_plan_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(MissingFile) as caught:
        read(tmp_path / "audit.toml")

    message = f'plan "{tmp_path}/audit.toml": found no such file, expected a readable TOML file'
    assert message == str(caught.value)


def test_a_folder_is_no_plan(tmp_path: Path) -> None:
    with pytest.raises(MissingFile) as caught:
        read(tmp_path)

    assert f'plan "{tmp_path}": found a folder, expected a readable TOML file' == str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("Absent", "found reference 'test_parser:Absent': found no 'Absent' in "),
        ("parsed", 'found "<function parsed at '),
    ],
)
def test_options_that_are_no_attrs_class_are_the_plugins_mistake(
    options: str, message: str, tmp_path: Path
) -> None:
    (tmp_path / "audit.toml").write_text(SHORTEST)
    installed = Installed(loaders=(offered(LoaderOffer, "arrays", options),))

    with pytest.raises(PluginBroken) as caught:
        resolve(read(tmp_path / "audit.toml"), installed)

    assert str(caught.value).startswith(f"options of 'arrays' in leakpro-some 1.0.0: {message}")


# Whatever stands in the file: a plan, or an error that the user can read.


def either(content: bytes, folder: Path) -> None:
    (folder / "audit.toml").write_bytes(content)
    try:
        resolve(read(folder / "audit.toml"), Installed())
        line = "a plan"
    except LeakProError as error:
        line = str(error)
    assert len(line.splitlines()) == 1


FUZZ = settings(
    max_examples=150,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

KEYS = sorted(
    {key for line in WHOLE.splitlines() if (key := line.partition(" =")[0]).isidentifier()}
)
NAMES = st.sampled_from([*KEYS, "schema", "0.01", "x", "a b", "", "0"])
SCALARS = (
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["torch", "lira", "json", "local", "logits", "a:b"])
    | st.dates()
    | st.datetimes()
    | st.times()
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)
TABLES = st.fixed_dictionaries(
    {"schema": st.just(1) | VALUES},
    optional={
        **dict.fromkeys(("name", "seed", "registry"), VALUES),
        **dict.fromkeys(
            ("target", "data", "shadows", "execution", "policy", "controls", "report"),
            st.dictionaries(NAMES, VALUES, max_size=4) | VALUES,
        ),
        **dict.fromkeys(
            ("adversary", "attacks"),
            st.lists(st.dictionaries(NAMES, VALUES, max_size=4), max_size=3) | VALUES,
        ),
    },
)


def toml(value: object) -> str:
    """Return a value as inline TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{quoted(k)} = {toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return quoted(value)
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


def quoted(text: str) -> str:
    plain = string.ascii_letters + string.digits + " .:_-"
    return '"' + "".join(c if c in plain else f"\\U{ord(c):08x}" for c in text) + '"'


@FUZZ
@given(tables=TABLES)
def test_no_document_gives_a_traceback(tables: dict[str, object], tmp_path: Path) -> None:
    text = "\n".join(f"{key} = {toml(value)}" for key, value in tables.items())
    either(text.encode("utf-8", "replace"), tmp_path)


@FUZZ
@given(data=st.data())
def test_no_change_of_a_plan_gives_a_traceback(data: st.DataObject, tmp_path: Path) -> None:
    lines = WHOLE.splitlines()
    for _ in range(data.draw(st.integers(1, 4))):
        number = data.draw(st.integers(0, len(lines) - 1))
        key, equals, _ = lines[number].partition("=")
        lines[number] = data.draw(
            st.sampled_from(["", lines[data.draw(st.integers(0, len(lines) - 1))], lines[number]])
            | (VALUES.map(lambda v, key=key: f"{key}= {toml(v)}") if equals else st.just("[x]"))
        )
    either("\n".join(lines).encode("utf-8", "replace"), tmp_path)


@FUZZ
@given(
    content=st.binary(max_size=200) | st.text(alphabet="[]{}=.\"'#\n\\01ae-:T,_ ").map(str.encode)
)
def test_no_bytes_give_a_traceback(content: bytes, tmp_path: Path) -> None:
    either(content, tmp_path)


def test_the_fuzzed_documents_are_toml() -> None:
    value = {"a b": [1, True, "x\ny", {"0.01": 0.5}], "": float("inf")}

    assert {"v": value} == tomllib.loads(f"v = {toml(value)}")
