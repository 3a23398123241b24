"""A loader of simulated updates, and attacks on them that fail in every way, for whole audits."""

import json
from pathlib import Path

import numpy as np
from attrs import evolve, frozen

from leakpro_core.audit import run
from leakpro_core.draft import read
from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.offers import Access, AttackOffer, LoaderOffer
from leakpro_core.parser import resolve
from leakpro_core.plan import Plan
from leakpro_core.plugins import Offered, PluginSet
from leakpro_core.records import Disclosed, Release
from leakpro_core.report import RiskReport
from leakpro_core.testing import updates
from leakpro_core.testing.updates import simulated_release
from leakpro_core.vetting import Registry


@frozen(kw_only=True)
class Options:
    """Of the loader; see ``simulated_release``. lie: what was disclosed is not what was done."""

    kind: str = "gradient"
    lr: float | None = None
    examples: int | None = 1
    noise: float | None = None
    dtype: str | None = None
    members: int = 120
    others: int = 400
    auxiliary: int = 100
    classes: int = 4
    shape: tuple[int, ...] = (16,)
    received: int = 0
    truth: bool = True
    rounds: int = 0
    shift: float = 0.0
    strangers: bool = False
    lie: bool = False
    seed: int = 0


def load(options: Options, run: object) -> Release:
    o = options
    how = Disclosed(kind=o.kind, examples=o.examples, lr=o.lr, noise=o.noise, dtype=o.dtype)
    found = simulated_release(
        o.seed,
        disclosed=how,
        members=o.members,
        others=o.others,
        auxiliary=o.auxiliary,
        classes=o.classes,
        shape=o.shape,
        received=o.received,
        truth=o.truth,
        rounds=o.rounds,
        shift=o.shift,
        strangers=o.strangers,
    )
    if o.lie:
        client = updates.LinearClient(disclosed=evolve(how, reduction="sum"))
        found = evolve(found, target=evolve(found.target, handle=client))
    return found


# Attacks that do what they should stand in ``leakpro_core.testing.updates``. These do not.


def sulks(challenge, options, run):
    raise RuntimeError("no mood for attacking\nand a second line")


def other_type(challenge, options, run):
    return MembershipAnswer(claims=np.zeros(1))


def other_shape(challenge, options, run):
    answer = updates.guess(challenge, options, run)
    return evolve(answer, records=answer.records[:, :-1])


def infinite(challenge, options, run):
    answer = updates.guess(challenge, options, run)
    return evolve(answer, claims=np.full(len(answer.claims), np.inf))


def refuses(challenge, options, run):
    raise NotApplicable("inversion", found="a linear model", expected="another")


def refuses_some(challenge, options, run):
    """Return what ``exact`` does, but for batches of even seeds."""
    if run.seed % 2:
        raise NotApplicable("inversion", found="an update", expected="another")
    return updates.exact(challenge, options, run)


def refuses_the_ignorant(challenge, options, run):
    if challenge.labels is None:
        raise NotApplicable("inversion", found="no labels", expected="labels")
    return updates.exact(challenge, options, run)


def boasts(challenge, options, run):
    """Return guesses that are said to be certified."""
    answer = updates.guess(challenge, options, run)
    return evolve(answer, certified=np.ones(len(answer.claims), np.bool_))


def notes(challenge, options, run):
    return evolve(updates.guess(challenge, options, run), notes=("A note.", "Another.", "A note."))


def no_number(challenge, options, run):
    return evolve(updates.guess(challenge, options, run), residual=None)


def listed_notes(challenge, options, run):
    return evolve(updates.guess(challenge, options, run), notes=["A note."])


def letters(challenge, options, run):
    answer = updates.guess(challenge, options, run)
    return evolve(answer, records=answer.records.astype(str))


def labels_only(challenge, options, run):
    bias = challenge.update["bias"]
    said = updates.exact(challenge, options, run).labels
    return InversionAnswer(labels=said, claims=-np.sort(bias)[:1], certified=np.zeros(1, np.bool_))


def constant(challenge, options, run):
    return MembershipAnswer(claims=np.zeros(len(challenge.ids)))


def random(challenge, options, run):
    return MembershipAnswer(claims=np.random.default_rng(run.seed).random(len(challenge.ids)))


INVERSION = (
    *("sulks", "other_type", "other_shape", "infinite", "boasts", "labels_only", "notes"),
    *("no_number", "listed_notes", "letters"),
    *("refuses", "refuses_some", "refuses_the_ignorant", "exact", "guess"),
)
MEMBERSHIP = ("aligned", "constant", "random")


INSTALLED = PluginSet.find(Registry())


def plugins() -> PluginSet:
    """Return the installed plugins with the loader and attacks of this module in their place."""

    def offered(offer):
        return Offered(offer=offer, plugin="leakpro-core", version="1")

    attacks = [
        AttackOffer(
            name=name.replace("_", "-"),
            ref=f"leakpro_core.testing.updates:{name}"
            if hasattr(updates, name)
            else f"fake_updates:{name}",
            game="gradient-inversion" if name in INVERSION else "membership",
            access=Access.UPDATE,
            reference="none",
        )
        for name in (*INVERSION, *MEMBERSHIP)
    ]
    loader = LoaderOffer(
        name="simulated", kind="update", ref="fake_updates:load", options="fake_updates:Options"
    )
    return evolve(
        INSTALLED,
        attacks=tuple(map(offered, attacks)),
        loaders=(*INSTALLED.loaders, offered(loader)),
    )


def plan(folder: Path, *attacks: str, target: str = "", more: str = "", seed: int = 3) -> Plan:
    """Return a plan that names those attacks."""
    path = folder / "audit.toml"
    named = "".join(f'[[attacks]]\nname = "{name.replace("_", "-")}"\n' for name in attacks)
    games = "" if "[games]" in more else "[games]\nbatches = 24\ndecoys = 40\n"
    path.write_text(
        f'schema = 1\nseed = {seed}\n[target]\nloader = "simulated"\n{target}\n{games}{more}\n'
        f'[report]\nformats = ["json", "terminal"]\n{named}'
    )
    return resolve(read(path), plugins())


def audit(folder: Path, *attacks: str, out: str = "run", **how: object) -> RiskReport:
    """Run such a plan."""
    return run(plan(folder, *attacks, **how), plugins(), folder / out)  # type: ignore[arg-type]


def words(report: RiskReport) -> dict[str, str]:
    """Return the word of each family."""
    return {f.family: f.word.value for f in report.findings}


def written(folder: Path) -> dict[str, object]:
    """Return the report of a run without its times."""
    report = json.loads((folder / "report.json").read_text())
    for key in ("started", "seconds"):
        report["provenance"].pop(key)
    return report
