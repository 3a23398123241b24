"""PluginSet: each plugin's offers are its own, and one that fails takes nothing else down."""

import importlib
import sys
from pathlib import Path

import pytest
from attrs import frozen

from leakpro_core import hookspecs
from leakpro_core.errors import (
    DuplicateName,
    HookUnknown,
    LeakProError,
    PluginBroken,
    UnknownName,
)
from leakpro_core.loading import Status
from leakpro_core.plugins import Clash, PluginSet
from leakpro_core.testing.wheels import install_wheel, write_wheel
from leakpro_core.vetting.reasons import EXPECTED, FIXES, Reason
from leakpro_core.vetting.registry import Registry

HEAD = "from leakpro_core import hookimpl\nfrom leakpro_core.offers import *\n"


def hook(name: str, body: str) -> str:
    return f"{HEAD}\n@hookimpl\ndef {name}():\n    {body}\n"


def attacks(*names: str) -> str:
    offers = [f"AttackOffer(name={n!r}, ref='a:b', game='g', reference='-')" for n in names]
    return hook("leakpro_attacks", f"return [{', '.join(offers)}]")


@frozen
class Site:
    folder: Path

    def install(self, name: str, source: str, **points: str) -> None:
        module = name.replace("-", "_")
        points = points or {name: module}
        install_wheel(
            write_wheel(self.folder, name, {f"{module}.py": source}, entry_points=points),
            self.folder,
        )

    def find(self) -> PluginSet:
        importlib.invalidate_caches()
        return PluginSet.find(Registry(), path=[str(self.folder)])


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    before = set(sys.modules)
    yield Site(tmp_path)
    for name in set(sys.modules) - before:
        if name.startswith("fake_"):
            del sys.modules[name]


def plugin(plugins: PluginSet, name: str):
    return next(p for p in plugins.plugins if p.name == name)


def test_offers_are_sorted_by_name_and_know_their_plugin(site):
    site.install("fake-b", attacks("zeta", "beta"))
    site.install("fake-a", attacks("gamma"))
    found = [(o.offer.name, o.plugin, o.version) for o in site.find().attacks]
    first, second = ("beta", "fake-b", "1.0"), ("gamma", "fake-a", "1.0")
    assert found == [first, second, ("zeta", "fake-b", "1.0")]


def test_the_built_in_parts_are_a_plugin_like_any_other(site):
    plugins = site.find()
    assert plugin(plugins, "leakpro-core").status is Status.BUILT_IN
    assert [o.offer.name for o in plugins.loaders] == ["arrays", "trained"]
    assert plugins.executor("local").plugin == "leakpro-core"


def test_nothing_is_wrong_with_the_plugins_of_the_tree():
    assert PluginSet.find(Registry()).problems == ()


def test_hooks_are_known(site):
    site.install("fake-a", attacks("x"))
    assert plugin(site.find(), "fake-a").hooks == ("leakpro_attacks",)


def test_a_plugin_may_have_several_modules(site):
    site.install("fake-a", attacks("x"), one="fake_a", two="fake_b")
    site.install("fake-b", attacks("y"))
    assert [o.plugin for o in site.find().attacks if o.offer.name == "y"] == []
    assert site.find().clashes == (Clash(kind="attack", name="y", plugins=("fake-a", "fake-b")),)


def test_hooks_may_be_generators(site):
    source = hook("leakpro_reporters", "yield ReporterOffer(name='r', ref='a:b')")
    site.install("fake-a", source)
    assert site.find().reporter("r").plugin == "fake-a"


BROKEN = {
    Reason.RAISES: ("1 / 0", "ZeroDivisionError: division by zero"),
    Reason.HOOK_RAISES: (attacks("Bad Name"), "ValueError"),
    Reason.UNKNOWN_HOOK: (
        attacks("x").replace("leakpro_attacks", "leakpro_atacks"),
        "Did you mean 'leakpro_attacks'?",
    ),
    Reason.SIGNATURE: (attacks("x").replace("_attacks()", "_attacks(plan)"), "plan"),
    Reason.NOT_OFFERS: (hook("leakpro_attacks", "return 3"), "found 3 from"),
    Reason.WRAPPER: (attacks("x").replace("@hookimpl", "@hookimpl(wrapper=True)"), "plain hooks"),
}


@pytest.mark.parametrize("reason", BROKEN, ids=lambda reason: reason.name)
def test_a_broken_plugin_leaves_the_rest_working(reason, site):
    source, said = BROKEN[reason]
    site.install("fake-bad", source)
    site.install("fake-good", attacks("good"))
    plugins = site.find()
    assert plugins.attack("good").plugin == "fake-good"
    (found,) = plugins.problems
    assert (found.distribution, found.reason) == ("fake-bad", reason)
    assert said in str(found)
    assert plugin(plugins, "fake-bad").status is Status.BROKEN


@pytest.mark.parametrize(
    "source",
    [
        "import sys; sys.exit(3)",
        "raise ExceptionGroup('odd', [ValueError()])",
        "import no_such_module_anywhere",
        "def (",
        attacks("x").replace("return [", "return [3, "),
        hook("leakpro_attacks", "raise SystemExit"),
        hook("leakpro_attacks", "return [LoaderOffer(name='x', ref='a:b')]"),
        hook("leakpro_attacks", "return None"),
        hook("leakpro_attacks", "yield").replace("@hookimpl", "@hookimpl(hookwrapper=True)"),
        hook("leakpro_attacks", "raise BaseException"),
        "raise BaseException",
        "class Odd(Exception):\n    __str__ = None\nraise Odd",
        "class Odd:\n    __repr__ = None\n" + hook("leakpro_attacks", "return [Odd()]"),
        "def __dir__(): raise ValueError",
        attacks("x").replace("@hookimpl", "@hookimpl(specname=3)"),
    ],
)
def test_no_plugin_takes_the_others_down(source, site):
    site.install("fake-bad", source)
    site.install("fake-good", attacks("good"))
    assert site.find().attack("good").plugin == "fake-good"


def test_a_name_that_may_be_a_broken_plugins_says_so(site):
    site.install("fake-bad", "1 / 0")
    with pytest.raises(PluginBroken, match=r"attack 'lira' .* fake-bad 1\.0 is broken: raises on"):
        site.find().attack("lira")


def test_a_misspelt_hook_is_an_error_of_its_own(site):
    site.install("fake-bad", BROKEN[Reason.UNKNOWN_HOOK][0])
    with pytest.raises(HookUnknown, match="found leakpro_atacks in fake_bad"):
        site.find().attack("x")


def test_an_entry_point_must_name_a_module(site):
    site.install("fake-a", attacks("x"), a="fake_a:leakpro_attacks")
    (found,) = site.find().problems
    assert found.reason is Reason.ENTRY_POINT
    assert found.found == "'fake_a:leakpro_attacks'"


def test_a_duplicate_name_is_nobodys_and_the_rest_works(site):
    site.install("fake-a", attacks("same", "other"))
    site.install("fake-b", attacks("same"))
    plugins = site.find()
    assert [o.offer.name for o in plugins.attacks] == ["other"]
    with pytest.raises(DuplicateName, match="attack 'same': found fake-a and fake-b both offer it"):
        plugins.attack("same")
    assert [(p.distribution, p.reason) for p in plugins.problems] == [
        ("fake-a", Reason.DUPLICATE),
        ("fake-b", Reason.DUPLICATE),
    ]


def test_a_name_that_core_has_cannot_be_taken_over(site):
    source = hook("leakpro_executors", "return [ExecutorOffer(name='local', ref='a:b')]")
    site.install("fake-a", source)
    with pytest.raises(DuplicateName, match="leakpro-core and fake-a both offer it"):
        site.find().executor("local")


def test_one_name_for_two_kinds_is_no_duplicate(site):
    source = (
        attacks("x")
        + "\n@hookimpl\ndef leakpro_reporters():\n    return [ReporterOffer(name='x', ref='a:b')]\n"
    )
    site.install("fake-a", source)
    plugins = site.find()
    assert plugins.attack("x") != plugins.reporter("x")


@pytest.mark.parametrize("kind", ["loader", "trainer", "attack", "reporter", "executor"])
def test_an_unknown_name_is_an_error(kind, site):
    with pytest.raises(UnknownName, match=f"{kind} 'nothing' is unknown"):
        getattr(site.find(), kind)("nothing")


def test_an_unknown_name_names_the_nearest(site):
    site.install("fake-a", attacks("lira", "ratio"))
    with pytest.raises(UnknownName, match="Did you mean 'lira'"):
        site.find().attack("lyra")


def test_a_plugin_set_is_built_passed_and_forgotten(site):
    site.install("fake-a", attacks("x"))
    before = list(sys.meta_path)
    assert site.find() == site.find()
    assert sys.meta_path == before


def test_every_reason_has_an_expectation_and_a_fix():
    assert set(FIXES) == set(EXPECTED) == set(Reason)


def test_every_hook_has_a_kind_of_offer():
    from leakpro_core.loading import _OFFERS

    assert tuple(_OFFERS) == hookspecs.HOOKS


def test_errors_are_for_users():
    assert all(issubclass(e, LeakProError) for e in (DuplicateName, PluginBroken, UnknownName))
