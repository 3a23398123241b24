"""``leakpro check`` refuses what ``leakpro audit`` would, before anything is trained."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import recorded

from leakpro_core.cli import main

Plan = Callable[..., Path]

TRAINED = """\
schema = 1
[target]
loader = "trained"
[data]
path = "data.npz"
"""


def test_it_says_what_will_be_played_and_why_not(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(plan(recorded(100), attacks=()))]) == 0
    shown = capsys.readouterr().out
    assert "  ratio: will be played" in shown
    assert "  population: it needs auxiliary records, and there are none" in shown


@pytest.mark.parametrize(
    ("more", "attacks", "message"),
    [
        ("", ("population",), "attack 'population' cannot be played"),
        ('[shadows]\ntrainer = "torch"\n', ("loss",), "recorded outputs bring their own shadows"),
        ("[[adversary]]\nqueries = 1\n", ("loss",), "queries reach 1 candidates, and not both"),
    ],
)
def test_a_plan_that_cannot_be_played_is_a_mistake(
    plan: Plan, capsys: pytest.CaptureFixture[str], more, attacks, message
) -> None:
    assert main(["check", str(plan(recorded(100), more=more, attacks=attacks))]) == 64
    assert message in capsys.readouterr().err


def test_people_and_not_their_records_are_counted(
    plan: Plan, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = recorded(2000)
    members = np.arange(4000) < 2000
    for more, enough in (({}, "enough"), ({"subjects": np.arange(4000) // 5}, "too few")):
        main(["check", str(plan(arrays | {"members": members} | more))])
        assert f"FPR 0.01: {enough} to exclude a TPR above 0.03" in capsys.readouterr().out


def test_targets_that_core_trains_need_a_trainer(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "data.npz", x=np.ones((9, 2)), y=np.arange(9) % 2)
    (tmp_path / "audit.toml").write_text(TRAINED)
    assert main(["check", str(tmp_path / "audit.toml")]) == 64
    assert "[shadows]: found nothing, expected a table with a trainer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("data", "shadows", "message"),
    [
        ("", 'pool = "auxiliary"\n', '[shadows] pool: found "auxiliary", and no auxiliary records'),
        ('subjects = "who"\n', "", "[data] subjects: found one person only"),
    ],
)
def test_there_must_be_people_to_train_shadows_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data, shadows, message
) -> None:
    np.savez(tmp_path / "data.npz", x=np.ones((9, 2)), y=np.arange(9) % 2, who=np.zeros(9, int))
    (tmp_path / "audit.toml").write_text(f'{TRAINED}{data}[shadows]\ntrainer = "torch"\n{shadows}')
    assert main(["check", str(tmp_path / "audit.toml")]) == 64
    assert message in capsys.readouterr().err


def test_it_says_of_which_shape_a_record_is(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # who writes a model for a table must know how many columns its categories become
    (tmp_path / "people.csv").write_text("age,job,y\n" + "3,nurse,0\n4,clerk,1\n5,cook,1\n" * 3)
    (tmp_path / "audit.toml").write_text(
        TRAINED.replace("data.npz", "people.csv") + '[shadows]\ntrainer = "torch"\n'
    )
    # there is no model yet, which an audit would refuse too
    assert main(["check", str(tmp_path / "audit.toml")]) == 64
    assert "each of shape [4]" in capsys.readouterr().out
