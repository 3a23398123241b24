"""The registry is read strictly and fails closed."""

import contextlib
import tomllib
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leakpro_core.errors import RegistryMalformed
from leakpro_core.hookspecs import HOOKS
from leakpro_core.vetting.registry import (
    Approval,
    Mode,
    Registry,
    _approval,
    choose,
    normalised,
    parse,
    read,
    to_toml,
)

WHERE = Path("registry.toml")
DIGEST = "3f1c" * 16

WHOLE = f"""
schema = 1
mode = "enforce"
[plugin.leakpro-torch]
version = "1.4.2"
entry_points = {{ torch = "leakpro_torch.plugin" }}
sha256 = ["{DIGEST}"]
hooks = ["leakpro_target_loaders", "leakpro_shadow_trainers"]
capabilities = ["gpu"]
approved_by = "privacy-office@example.org"
approved_on = 2026-09-01
expires_on = 2027-03-01
"""


def test_every_key_is_read():
    registry = parse(WHOLE.encode(), WHERE)
    assert registry.mode is Mode.ENFORCE
    assert registry.approvals == {
        "leakpro-torch": Approval(
            name="leakpro-torch",
            version="1.4.2",
            entry_points=(("torch", "leakpro_torch.plugin"),),
            sha256=(DIGEST,),
            hooks=("leakpro_target_loaders", "leakpro_shadow_trainers"),
            capabilities=("gpu",),
            approved_by="privacy-office@example.org",
            approved_on=date(2026, 9, 1),
            expires_on=date(2027, 3, 1),
        )
    }


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema = 1", "schema = 2", "schema: found 2, expected 1"),
        ("schema = 1", "schema = true", "schema: found True, expected a whole number"),
        ("schema = 1", "", "key 'schema' is missing"),
        ('"enforce"', '"enforced"', "mode: found 'enforced', expected off, warn or enforce"),
        ("mode", "modes", "unknown key 'modes'. Did you mean 'mode'?"),
        ("version =", "versoin =", "plugin.leakpro-torch: unknown key 'versoin'. Did you mean"),
        ('"1.4.2"', "1.4", "version: found 1.4, expected a string"),
        ("leakpro-torch]", "LeakPro_Torch]", "expected the normalised name 'leakpro-torch'"),
        ("3f1c", "3F1C", "expected SHA-256 digests, 64 lower-case hex digits each"),
        (f'["{DIGEST}"]', f'"{DIGEST}"', "sha256: found '3f1c"),
        ('["gpu"]', "[1]", "capabilities: found [1], expected a list of strings"),
        ("_loaders", "_loader", "Did you mean 'leakpro_target_loaders'?"),
        ('{ torch = "leakpro_torch.plugin" }', "{}", "expected at least one name = module"),
        ("2027-03-01", "2027-03-01T00:00:00", "expires_on: found datetime"),
        ("2027-03-01", '"2027-03-01"', "expires_on: found '2027-03-01', expected a date"),
        ("[plugin.leakpro-torch]", "[plugin.leakpro-torch", "expected TOML in UTF-8"),
    ],
)
def test_what_is_wrong_is_named(old, new, message):
    with pytest.raises(RegistryMalformed) as caught:
        parse(WHOLE.replace(old, new).encode(), WHERE)
    assert message in str(caught.value)
    assert "registry.toml" in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_plugin_that_is_no_table_is_refused():
    with pytest.raises(RegistryMalformed, match="found str, expected a table"):
        parse(b'schema = 1\nmode = "off"\nplugin.x = "1.0"', WHERE)


@given(st.binary())
def test_bytes_give_a_registry_or_one_clear_error(data):
    with pytest.raises(RegistryMalformed):
        parse(data, WHERE)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.dates(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
KEYS = st.sampled_from([a.name for a in Approval.__attrs_attrs__]) | st.text()


@given(st.dictionaries(KEYS, VALUES), st.sampled_from(["leakpro-x", "X", ""]) | st.text())
def test_any_table_gives_a_registry_or_one_clear_error(table, name):
    with contextlib.suppress(RegistryMalformed):
        assert _approval(name, table, WHERE).version == table["version"]


def test_deep_nesting_is_one_clear_error():
    with pytest.raises(RegistryMalformed):
        parse(b"a = " + b"[" * 10_000, WHERE)


APPROVALS = st.builds(
    Approval,
    name=st.from_regex(r"[a-z0-9]+(-[a-z0-9]+)*", fullmatch=True),
    version=st.text(st.characters(codec="utf-8")),
    entry_points=st.dictionaries(
        st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), min_size=1
    ).map(lambda points: tuple(sorted(points.items()))),
    sha256=st.lists(st.from_regex(r"[0-9a-f]{64}", fullmatch=True)).map(tuple),
    hooks=st.lists(st.sampled_from(HOOKS)).map(tuple),
    capabilities=st.lists(st.text(st.characters(codec="utf-8"))).map(tuple),
    approved_by=st.text(st.characters(codec="utf-8")),
    approved_on=st.none() | st.dates(),
    expires_on=st.none() | st.dates(),
)


@given(APPROVALS)
def test_a_printed_table_reads_as_it_was(approval):
    text = f'schema = 1\nmode = "warn"\n{to_toml(approval)}'
    assert parse(text.encode(), WHERE).approvals == {approval.name: approval}


def test_names_are_normalised_as_installers_do():
    assert normalised("LeakPro__Torch.x-_.y") == "leakpro-torch-x-y"


# Which registry


@pytest.fixture
def write(tmp_path):
    def write(name: str, mode: str) -> Path:
        path = tmp_path / name
        path.write_text(f'schema = 1\nmode = "{mode}"\n# {name}\n')
        return path

    return write


@pytest.fixture
def nowhere(tmp_path):
    return tmp_path / "nothing" / "registry.toml"


def test_without_any_registry_the_mode_is_off(nowhere):
    assert choose(None, None, system=nowhere) == Registry(mode=Mode.OFF)


def test_the_first_that_is_named_is_used(write, nowhere):
    option, plan = write("option", "warn"), write("plan", "off")
    assert choose(option, plan, system=nowhere).path == option
    assert choose(None, plan, system=nowhere).path == plan


def test_the_machines_own_is_used_where_none_is_named(write):
    system = write("system", "warn")
    assert choose(None, None, system=system) == read(system)


def test_a_machine_that_warns_may_be_overruled(write):
    registry = choose(write("option", "off"), system=write("system", "warn"))
    assert registry.mode is Mode.OFF


@pytest.mark.parametrize("mode", ["off", "warn", "enforce"])
def test_nothing_loosens_a_machine_that_enforces(mode, write):
    option, system = write("option", mode), write("system", "enforce")
    registry = choose(option, system=system)
    assert registry.mode is Mode.ENFORCE
    assert [layer.path for layer in registry.layers] == [option, system]


def test_naming_the_machines_own_changes_nothing(write):
    system = write("system", "enforce")
    assert choose(system, system=system) == read(system)


@pytest.mark.parametrize("text", ["schema = 2", "not toml", ""])
def test_a_malformed_registry_of_the_machine_stops_everything(text, write):
    system = write("system", "enforce")
    system.write_text(text)
    with pytest.raises(RegistryMalformed):
        choose(write("option", "off"), system=system)


def test_a_registry_that_is_not_there_is_no_permission(nowhere):
    with pytest.raises(RegistryMalformed, match="found No such file or directory"):
        choose(nowhere, system=nowhere)


def test_a_link_to_a_registry_that_is_gone_is_no_permission(tmp_path, nowhere):
    system = tmp_path / "registry.toml"
    system.symlink_to(nowhere)
    with pytest.raises(RegistryMalformed, match="found No such file or directory"):
        choose(None, system=system)


def test_a_folder_is_no_registry(tmp_path):
    with pytest.raises(RegistryMalformed, match="found Is a directory"):
        choose(None, system=tmp_path)


def test_the_trees_own_registry_warns_and_pins_nothing():
    path = Path(__file__).parents[2] / "registry.toml"
    if not path.exists():
        pytest.skip("no registry.toml in the tree")
    registry = read(path)
    assert registry.mode is Mode.WARN
    assert {a.sha256 for a in registry.approvals.values()} == {()}
    assert tomllib.loads(path.read_text())["schema"] == 1
