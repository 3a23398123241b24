"""A loader of simulated tables, and attacks on them that fail in every way, for whole audits."""

import json
from pathlib import Path

import numpy as np
from attrs import evolve, frozen

from leakpro_core.audit import run
from leakpro_core.draft import read
from leakpro_core.errors import NotApplicable
from leakpro_core.games.attribute_inference import AttributeAnswer
from leakpro_core.games.copies import CopiesAnswer
from leakpro_core.games.membership import MembershipAnswer
from leakpro_core.offers import Access, AttackOffer, LoaderOffer, TrainerOffer
from leakpro_core.parser import resolve
from leakpro_core.plan import Plan
from leakpro_core.plugins import Offered, PluginSet
from leakpro_core.records import Release, TableRelease, Target
from leakpro_core.report import RiskReport
from leakpro_core.tabular.distance import Space, nearest, nearest_distance
from leakpro_core.tabular.table import Column, Kind, Table
from leakpro_core.testing.tables import simulated_stage
from leakpro_core.vetting import Registry


@frozen(kw_only=True)
class Options:
    """Of the loader. leak: share of the released rows that are rows of people in the data;
    people: in the data; wide: columns of numbers that are added; again: further releases; each:
    rows of one person in the data and among control people.
    """

    leak: float = 0.5
    people: int = 120
    wide: int = 0
    again: int = 0
    larger: bool = False
    auxiliary: bool = True
    targets: int = 0
    rows: int | None = None
    each: int = 1


def load(options: Options, run: object) -> Release:
    stages = [
        simulated_stage(seed, leak=options.leak, people=options.people)
        for seed in range(1 + options.again)
    ]
    stage = stages[0]
    added = [wider(t, options.wide) for t in (stage.released, stage.original, stage.control)]
    added[1:] = [evolve(t, subjects=t.subjects // options.each) for t in added[1:]]
    again = tuple(wider(s.released, options.wide) for s in stages[1:])
    target = Target(kind="table", identity="0" * 64, handle=None, description="simulated")
    return Release(
        target=None if options.targets else target,
        targets=options.targets,
        tables=TableRelease(
            rows=options.rows,
            synthetic=None if options.targets else added[0],
            original=added[1],
            control=added[2],
            auxiliary=wider(stage.auxiliary, options.wide) if options.auxiliary else None,
            again=again,
            larger=added[0].rows(np.repeat(np.arange(len(added[0])), 2))
            if options.larger
            else None,
        ),
    )


def wider(table: Table, columns: int) -> Table:
    """Return the table with more columns, each a power of the balance."""
    balance = table.values[table.index("balance")]
    return evolve(
        table,
        columns=table.columns
        + tuple(Column(name=f"x{j}", kind=Kind.NUMERIC) for j in range(columns)),
        values=table.values + tuple(np.tanh(balance / 1000) * (j + 1) for j in range(columns)),
    )


# A trainer of generators that release rows of those that they were fitted on.


@frozen(kw_only=True)
class TrainerOptions:
    """Of the trainer. wrong: what it gets wrong: "shape", "codes" or "names"."""

    wrong: str = ""


@frozen
class Cohort:
    """Generators: their rows by name."""

    rows: dict

    def parameters(self):
        return self.rows

    def query(self, records):
        raise AssertionError("generators are not queried")


FITTED: list[int] = []
"""Models that were fitted, in this process."""


def train(data, unit, run):
    fitting = unit.options
    picked = [
        np.random.default_rng(seed).choice(rows, fitting.rows)
        for seed, rows in zip(unit.seeds, unit.rows, strict=True)
    ]
    FITTED.extend(unit.models)
    released = np.stack([data.records[rows] for rows in picked])
    owners = np.stack([fitting.subjects[rows] for rows in picked])
    if fitting.options.wrong == "shape":
        released = released[:, :, :-1]
    if fitting.options.wrong == "codes":
        released[:, :, 3] = 17.0
    names = ("rows", "whose") if fitting.options.wrong == "names" else ("released", "owners")
    return Cohort(dict(zip(names, (released, owners), strict=True)))


# Attacks that do what they should.


def every_row(challenge, options, run):
    rows = len(challenge.synthetic)
    return CopiesAnswer(rows=np.arange(rows), claims=np.zeros(rows))


def near(challenge, options, run):
    space = Space.of(challenge.records, challenge.synthetic)
    far = nearest_distance(space.encode(challenge.records), space.encode(challenge.synthetic))
    return MembershipAnswer(claims=-far)


def near_with_all(challenge, options, run):
    if len(challenge.shadows) < 40:
        raise RuntimeError("too few to learn from")
    return near(challenge, options, run)


def nearest_row(challenge, options, run):
    rows = challenge.synthetic.only(challenge.known.names)
    space = Space.of(challenge.known, rows)
    found = nearest(space.encode(challenge.known), space.encode(rows), 1, seed=run.seed)
    secret = challenge.synthetic.only([challenge.secret.name]).matrix()[:, 0]
    return AttributeAnswer(guesses=secret[found.index[:, 0]], claims=-found.distance[:, 0])


# And some that do not.


def sulks(challenge, options, run):
    raise RuntimeError("no mood for attacking\nand a second line")


def other_type(challenge, options, run):
    return MembershipAnswer(claims=np.zeros(len(challenge.synthetic)))


def infinite(challenge, options, run):
    return MembershipAnswer(claims=np.full(len(challenge.ids), np.inf))


def one_short(challenge, options, run):
    return MembershipAnswer(claims=np.zeros(len(challenge.ids) - 1))


def a_row_that_is_not(challenge, options, run):
    rows = len(challenge.synthetic)
    return CopiesAnswer(rows=np.array([rows]), claims=np.zeros(1))


def refuses(challenge, options, run):
    raise NotApplicable("copies", found="a table", expected="another")


def no_memory(challenge, options, run):
    raise MemoryError


def fails_blind(challenge, options, run):
    if challenge.auxiliary is None:
        raise RuntimeError("nothing beside the release")
    return every_row(challenge, options, run)


def says_nothing(challenge, options, run):
    rows = len(challenge.synthetic)
    return CopiesAnswer(rows=np.arange(rows), claims=np.full(rows, np.nan))


GAMES = {
    "every_row": "copies",
    "near": "membership",
    "near_with_all": "membership",
    "nearest_row": "attribute-inference",
    "sulks": "copies",
    "other_type": "copies",
    "infinite": "membership",
    "one_short": "membership",
    "a_row_that_is_not": "copies",
    "refuses": "copies",
    "no_memory": "copies",
    "fails_blind": "copies",
    "says_nothing": "copies",
}


def plugins(**offers: object) -> PluginSet:
    """Return the installed plugins with the loader and attacks of this module in their place."""
    installed = PluginSet.find(Registry())

    def offered(offer):
        return Offered(offer=offer, plugin="leakpro-core", version="1")

    attacks = [
        AttackOffer(
            name=name.replace("_", "-"),
            ref=f"fake_tables:{name}",
            game=game,
            access=Access.SAMPLES,
            reference="none",
            **offers,  # type: ignore[arg-type]
        )
        for name, game in GAMES.items()
    ]
    loader = LoaderOffer(
        name="simulated", kind="table", ref="fake_tables:load", options="fake_tables:Options"
    )
    trainers = [
        TrainerOffer(
            name=name, ref="fake_tables:train", options="fake_tables:TrainerOptions", kind=kind
        )
        for name, kind in (("rows", "generator"), ("models", "model"))
    ]
    return evolve(
        installed,
        attacks=tuple(map(offered, attacks)),
        loaders=(*installed.loaders, offered(loader)),
        trainers=(*installed.trainers, *map(offered, trainers)),
    )


def plan(folder: Path, *attacks: str, target: str = "", more: str = "", **offers: object) -> Plan:
    """Return a plan that names those attacks."""
    path = folder / "audit.toml"
    named = "".join(f'[[attacks]]\nname = "{name.replace("_", "-")}"\n' for name in attacks)
    games = "" if "[games]" in more else "[games]\nrounds = 100\nplanted = [0.2]\n"
    path.write_text(
        f'schema = 1\nseed = 3\n[target]\nloader = "simulated"\n{target}\n{games}{more}\n'
        f'[report]\nformats = ["json"]\n{named}'
    )
    return resolve(read(path), plugins(**offers))


def audit(folder: Path, *attacks: str, out: str = "run", **how: object) -> RiskReport:
    """Run such a plan."""
    offers = {k: v for k, v in how.items() if k not in ("target", "more")}
    return run(plan(folder, *attacks, **how), plugins(**offers), folder / out)  # type: ignore[arg-type]


def words(report: RiskReport) -> dict[str, str]:
    """Return the word of each family."""
    return {f.family: f.word.value for f in report.findings}


def written(folder: Path) -> dict[str, object]:
    """Return the report of a run without its times."""
    report = json.loads((folder / "report.json").read_text())
    for key in ("started", "seconds"):
        report["provenance"].pop(key)
    return report
