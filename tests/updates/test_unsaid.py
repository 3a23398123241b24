"""What clients did not say is told, and what they said is not."""

import pytest
from attrs import evolve
from fake_updates import Options, load, plan

from leakpro_core.games.narrowing import disclosed_to
from leakpro_core.records import Disclosed
from leakpro_core.updates.audit import settle
from leakpro_core.updates.unsaid import unsaid


@pytest.fixture
def stage(tmp_path):
    return settle(plan(tmp_path, "exact"), load(Options(received=1), None))


def told(stage, **said):
    release = evolve(stage.release, disclosed=Disclosed(kind="gradient", examples=1, **said))
    means = [n.means for n in unsaid(evolve(stage, release=release), ())]
    return [m.removeprefix("knowledge of ") for m in means if m.startswith("knowledge of ")]


@pytest.mark.parametrize("said", [{"clip": 1.0}, {"clipped": False}])
def test_clipping_that_was_disclosed_is_not_told_to_be_unknown(stage, said):
    assert not any("clips" in what for what in told(stage, **said))


def test_clipping_that_was_not_disclosed_is_told(stage):
    assert "whether it clips its update" in told(stage)
    assert "to which length it clips its update" in told(stage, clipped=True)


def test_that_there_is_no_defence_leaves_none_unknown(stage):
    nothing = {"clipped": False, "noise": 0.0, "pruned": 0.0, "bits": 32}
    assert told(stage, mode="eval", reduction="mean", mean=(0.0,), **nothing) == []


def test_clipping_is_a_hyper_parameter():
    known = Disclosed(kind="gradient", clipped=False)
    assert disclosed_to(("hyper-parameters",), known).clipped is False
    assert disclosed_to((), known).clipped is None


def test_no_clipping_has_no_bound():
    with pytest.raises(ValueError, match="no clip with clipped = false, not 1"):
        Disclosed(kind="gradient", clip=1.0, clipped=False)


def test_labels_and_other_records_that_were_not_given_are_told(stage, tmp_path):
    assert not {"labels", "other records of the same source"} & set(told(stage))
    bare = evolve(stage, auxiliary=None)
    release = evolve(
        stage.release, updates=tuple(evolve(u, labels=None) for u in stage.release.updates)
    )
    assert {"labels", "other records of the same source"} <= set(
        told(evolve(bare, release=release))
    )
