"""An audit of updates that was killed goes on where it was, and leaves no reconstruction behind."""

import fake_updates
import numpy as np
import pytest
from fake_updates import Options, audit, load, plan, written

from leakpro_core.errors import CannotWrite
from leakpro_core.files import Shelf, save_array
from leakpro_core.games.gradient_inversion import InversionAnswer
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.store import Store
from leakpro_core.testing.runs import SilentLog
from leakpro_core.updates.audit import settle
from leakpro_core.updates.kept import forget, keep, key_of, recall
from leakpro_core.updates.play import play, scene

SMALL = "[games]\nbatches = 12\ndecoys = 20"


class Killed(BaseException):
    """What ends a process in the midst of an attack."""


def counting(monkeypatch, name, *, killed_at):
    """Count how often an attack is called, and end the process at one of its calls."""
    calls, attack = [], getattr(fake_updates.updates, name)

    def counted(challenge, options, run):
        calls.append(run.seed)
        if len(calls) == killed_at:
            raise Killed
        return attack(challenge, options, run)

    monkeypatch.setattr(f"leakpro_core.testing.updates.{name}", counted)
    return calls


def test_no_batch_that_was_answered_is_asked_again(tmp_path, monkeypatch):
    once = counting(monkeypatch, "exact", killed_at=None)
    audit(tmp_path, "exact", out="whole", more=SMALL)
    monkeypatch.undo()
    calls = counting(monkeypatch, "exact", killed_at=7)
    with pytest.raises(Killed):
        audit(tmp_path, "exact", more=SMALL)
    audit(tmp_path, "exact", more=SMALL)
    # Only that of the seventh call, which was not answered, is asked twice.
    assert (sorted(set(calls)), len(calls)) == (sorted(once), len(once) + 1)
    assert written(tmp_path / "run") == written(tmp_path / "whole")
    for name in ("evidence/exact.parquet", "exhibits/exact.html"):
        same = [(tmp_path / run / name).read_bytes() for run in ("run", "whole")]
        assert same[0] == same[1]
    # No reconstruction is left behind.
    assert list((tmp_path / "run" / "answers").iterdir()) == []


def test_answers_are_there_until_the_report_is(tmp_path, monkeypatch):
    def full(store, report):
        raise CannotWrite("report.json", found="No space left on device")

    calls = counting(monkeypatch, "exact", killed_at=None)
    with monkeypatch.context() as patched:
        patched.setattr(Store, "write_report", full)
        with pytest.raises(CannotWrite):
            audit(tmp_path, "exact", more=SMALL)
    asked = len(calls)
    audit(tmp_path, "exact", more=SMALL)
    assert len(calls) == asked


def test_claims_about_members_are_kept_too(tmp_path, monkeypatch):
    calls = counting(monkeypatch, "aligned", killed_at=None)
    chosen = plan(tmp_path, "aligned")
    stage = settle(chosen, load(Options(members=20, others=30, auxiliary=5, rounds=2), None))
    how = {"blind": None, "tenth": None, "seed": 1, "log": SilentLog()}
    one = scene(stage, chosen.adversaries[0], answers=Shelf(tmp_path), **how)
    first, second = (play(one, chosen.attacks[0]).refereed.evidence for _ in range(2))
    assert len(calls) == 1
    np.testing.assert_array_equal(first.claim, second.claim)


def test_another_seed_is_another_question(tmp_path):
    assert len({key_of("a", "b", 1), key_of("a", "b", 2), key_of("a", "c", 1)}) == 3


@pytest.mark.parametrize(
    "answer",
    [
        InversionAnswer(
            records=np.arange(6, dtype=np.float32).reshape(2, 3),
            labels=np.array([1, 0]),
            claims=np.array([0.5, np.nan]),
            certified=np.array([True, False]),
            residual=0.25,
            notes=("A note.", "Été."),
        ),
        InversionAnswer(claims=np.zeros(0), certified=np.zeros(0, np.bool_)),
        MembershipAnswer(claims=np.array([1.0, np.nan])),
    ],
)
def test_an_answer_comes_back_as_it_was(tmp_path, answer):
    shelf, key = Shelf(tmp_path), key_of("a", "b", 1)
    keep(shelf, key, answer)
    again = recall(shelf, key, type(answer))
    for name in type(answer).__slots__:
        if name.startswith("__"):
            continue
        one, other = getattr(answer, name), getattr(again, name)
        np.testing.assert_array_equal(one, other)
        assert getattr(one, "dtype", None) == getattr(other, "dtype", None)
        assert type(one) is type(other) or isinstance(one, np.ndarray)


def test_an_answer_that_was_damaged_is_asked_again(tmp_path):
    shelf, key = Shelf(tmp_path), key_of("a", "b", 1)
    keep(shelf, key, MembershipAnswer(claims=np.arange(3.0)))
    file = next(tmp_path.glob("*.npy"))
    file.write_bytes(file.read_bytes()[:-1])
    assert recall(shelf, key, MembershipAnswer) is None


def test_answers_of_other_games_are_not_forgotten(tmp_path):
    shelf = Shelf(tmp_path)
    shelf.note("another", {})
    keep(shelf, key_of("a", "b", 1), MembershipAnswer(claims=np.arange(3.0)))
    keep(shelf, key_of("a", "b", 2), MembershipAnswer(claims=np.arange(3.0)))
    save_array(tmp_path, np.arange(4.0))  # of a run that was killed before the note
    forget(shelf)
    assert [path.name for path in tmp_path.iterdir()] == ["another.json"]


def test_records_without_bytes_of_their_own_are_not_kept(tmp_path):
    odd = InversionAnswer(
        records=np.array([[None]], object), claims=np.zeros(1), certified=np.zeros(1, np.bool_)
    )
    keep(Shelf(tmp_path), "update-1", odd)
    assert list(tmp_path.iterdir()) == []
