"""What is said before an audit of updates is run."""

from fake_updates import Options, load, plan

from leakpro_core.outlook import outlook
from leakpro_core.plan import MANDATORY
from leakpro_core.testing.runs import SilentLog
from leakpro_core.updates.outlook import outlook as of_updates

CARD = '[[adversary]]\nname = "server"\naccess = "update"\nknows = ["batch size"]\n'


def said(tmp_path, *attacks, target="", more=""):
    return "\n".join(outlook(plan(tmp_path, *attacks, target=target, more=more)))


def test_it_tells_batches_luck_and_what_is_played(tmp_path):
    text = said(tmp_path, "exact", "guess", target="examples = 2")
    assert "records: 120 of clients, 400 others, 100 auxiliary, 4 classes" in text
    assert "updates: 24 made for the audit, each the gradient of 2 records" in text
    assert "numbers in each: 68" in text
    assert "24 batches of 2 records, each with 40 decoys" in text
    assert "By luck a reconstruction names a record of the batch 4.8% of the time" in text
    assert "exact: will be played 24 times" in text


def test_it_tells_what_cannot_be_played_by_whom(tmp_path):
    text = said(
        tmp_path,
        "exact",
        "aligned",
        target="rounds = 2",
        more=CARD
        + CARD.replace("server", "another").replace('"batch size"', '"candidate records"'),
    )
    assert "aligned: it needs the records of the candidates, which the adversary" in text
    assert "aligned: will be played once" in text
    assert "rounds of training for membership: 2" in text


def test_it_tells_what_was_not_disclosed_and_what_is_not_judged(tmp_path):
    text = said(tmp_path, "exact", target='received = 2\ntruth = false\nkind = "delta"')
    assert "not judged: 2 of 2 batches, for the client's batch was not given" in text
    assert "not disclosed: its learning rate" in text


def test_it_plays_no_round(tmp_path):
    release = load(Options(rounds=2), None)

    class Client(type(release.target.handle)):
        def after(self, before, update):
            raise AssertionError("a round was played")

    from attrs import evolve

    client = Client(disclosed=release.updates.disclosed)
    release = evolve(release, target=evolve(release.target, handle=client))
    lines = list(of_updates(plan(tmp_path, "aligned"), release, SilentLog()))
    assert any("will be played once" in line for line in lines)


def test_of_updates_gradient_inversion_is_mandatory_unless_the_plan_says(tmp_path):
    assert plan(tmp_path, "exact").policy.mandatory == ("gradient-inversion",)
    stated = plan(tmp_path, "exact", more='[policy]\nmandatory = ["membership"]')
    assert stated.policy.mandatory == ("membership",)
    both = '[policy]\nmandatory = ["membership", "most vulnerable tenth"]'
    assert plan(tmp_path, "exact", more=both).policy.mandatory == MANDATORY
