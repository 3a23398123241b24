"""Are audits of released tables right? Adult with a known leak and with none, every attack.

What ``evidence_success`` counts for the judge's input alone, this counts end to end: people,
attacks, referees, judge and words; single audits also load tables and run their controls.
Writes bench/results/synthetic.json; needs shared/data. Run from the root:
``python bench/evidence_synthetic.py`` (about an hour of CPU time). The tests run slices.
"""

import argparse
import json
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import evidence
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from attrs import asdict, evolve, frozen
from evidence_statistics import share

from leakpro_core import judge
from leakpro_core.arrays import Bools, array
from leakpro_core.audit import run
from leakpro_core.draft import read
from leakpro_core.files import write_atomic
from leakpro_core.games import copies, singling_out
from leakpro_core.games.copies import CopiesAnswer
from leakpro_core.games.samples import TableStage
from leakpro_core.games.singling_out import SinglingOutAnswer
from leakpro_core.offers import Access
from leakpro_core.parser import resolve as parsed
from leakpro_core.plan import Adversary, ChosenAttack, Games, Policy
from leakpro_core.plugins import PluginSet
from leakpro_core.records import Estimate
from leakpro_core.references import resolve
from leakpro_core.report import LEAKS, AttackResult, Finding, RiskReport, Word
from leakpro_core.seeds import spawn
from leakpro_core.statistics import clopper_pearson
from leakpro_core.tabular.infer import tables
from leakpro_core.tabular.people import most_vulnerable
from leakpro_core.tabular.play import TablePlayed, TableScene, play
from leakpro_core.tabular.table import Table, stacked
from leakpro_core.tabular.weigh import Verdicts, judged
from leakpro_core.testing.conformance import PlainRun, SilentLog
from leakpro_core.vetting.registry import Registry

PATHS = (
    "bench/evidence_synthetic.py",
    "leakpro_core/games/answers.py",
    "leakpro_core/games/attribute_inference.py",
    "leakpro_core/games/copies.py",
    "leakpro_core/games/encounters.py",
    "leakpro_core/games/equal_size.py",
    "leakpro_core/games/linkability.py",
    "leakpro_core/games/samples.py",
    "leakpro_core/games/singling_out.py",
    "leakpro_core/judge/success*.py",
    "leakpro_core/tabular/distance.py",
    "leakpro_core/tabular/exact.py",
    "leakpro_core/tabular/people.py",
    "leakpro_core/tabular/predicates.py",
    "leakpro_core/tabular/secrets.py",
    "leakpro_core/tabular/weigh.py",
    *(
        f"plugins/leakpro_sdv/src/leakpro_sdv/{name}.py"
        for name in (
            *("boosted", "copies", "distance", "domias", "gen_lra", "light", "linkability"),
            *("marginals", "multi_column", "nearest_rows", "neighbour_ratio", "panel", "pooled"),
            *("predicates", "scores", "single_column", "tree"),
        )
    ),
)
DATA = evidence.ROOT.parent / "shared" / "data"
CONTROLS = (4800, 2400, 1000, 500)
POLICY = Policy()
ATTACKED = 2000
"""People of either arm that linkability and inference ask about, as in a plan by default; half as
many predicates are given and near rows looked at where there is no leak: these are tried anew for
every audit."""

READER = Adversary(name="reader", access=Access.SAMPLES)
SETS, REDRAWN = 2, 125
"""Answers for each size of the control, and how often the arms are redrawn for each of them."""

SHARES = (0.01, 0.05, 0.2, 0.5)
PEOPLE = 800
"""People of either arm, and released rows, where a leak is planted."""

SECRETS = ("age", "occupation")

DETECTING = ("distance", "domias", "gen-lra", "marginals", "neighbour-ratio", "panel")
"""Attacks of the game of membership."""

PLAN = """
schema = 1
seed = 7
[target]
loader = "table"
synthetic = "synthetic.parquet"
original = "original.parquet"
control = "control.parquet"
auxiliary = "auxiliary.parquet"
[[adversary]]
name = "reader"
access = "samples"
[games]
secrets = {secrets}
rounds = {rounds}
planted = {planted}
[policy]
tolerance = {tolerance}
tenth_tolerance = {tenth}
[report]
formats = ["json"]
"""
"""What a plan says by default, and in FITTING for so many control people."""

DEFAULT = {
    "rounds": "2000",
    "planted": "[0.05, 0.2]",
    "tolerance": "{ 0.01 = 0.03, 0.001 = 0.01 }",
    "tenth": "{ 0.1 = 0.2 }",
}
FITTING = {
    4800: {"tenth": "{ 0.1 = 0.25 }"},
    2400: {"tenth": "{ 0.1 = 0.3 }"},
    1000: {"tenth": "{ 0.1 = 0.5 }", "tolerance": "{ 0.01 = 0.05 }", "planted": "[0.2, 0.3]"},
    500: {
        "tenth": "{ 0.2 = 0.8 }",
        "tolerance": "{ 0.05 = 0.15 }",
        "planted": "[0.2, 0.5]",
        "rounds": "4000",
    },
}
"""What so many control people can exclude, a tenth of them, and the half of it that ``selected`` is
judged on. ``tree`` is left out: it makes a few predicates of many sizes, each told apart."""


# Tables


def adult() -> dict[str, pa.Table]:
    """Return the tables of data/adult_audit, and 4,800 rows of Adult that are in none of them."""
    folder = DATA / "adult_audit"
    names = ("original", "control", "copula", "leaky20")
    found = {name: pq.read_table(folder / f"{name}.parquet") for name in names}
    columns = found["original"].column_names
    everybody = pq.read_table(DATA / "adult.parquet").drop_columns(["split"])
    rows = dict.fromkeys(_rows(everybody))  # in order, each once
    for name in names:
        for row in _rows(found[name]):
            rows.pop(row, None)
    others = list(rows)
    drawn = np.random.default_rng(31).permutation(len(others))[:4800]
    found["auxiliary"] = pa.Table.from_pylist(
        [dict(zip(columns, others[i], strict=True)) for i in drawn], found["original"].schema
    )
    return found


def _rows(table: pa.Table) -> list[tuple[object, ...]]:
    """Return rows as tuples; what is missing is "?", as in data/adult_audit."""
    columns = [["?" if v is None else v for v in c.to_pylist()] for c in table.columns]
    return list(zip(*columns, strict=True))


def stage(
    released: Table, original: Table, control: Table, auxiliary: Table, rounds: int = ATTACKED
) -> TableStage:
    """Return the stage of an audit."""
    tenth = most_vulnerable(original, control, 0)
    return TableStage(
        released=released,
        original=original,
        control=control,
        auxiliary=auxiliary,
        tenth_original=tenth[0],
        tenth_control=tenth[1],
        rounds=rounds,
    )


def attacks() -> tuple[ChosenAttack, ...]:
    """Return every attack on tables that needs no shadow generator, with its defaults."""
    found = PluginSet.find(Registry()).attacks
    return tuple(
        ChosenAttack(
            label=o.offer.name,
            offered=o,
            options=None if o.offer.options is None else resolve(o.offer.options)(),
            named=False,
        )
        for o in found
        if Access.SAMPLES.covers(o.offer.access) and not o.offer.shadows
    )


def played(
    on: TableStage, chosen: Sequence[ChosenAttack], seed: int, secrets: tuple[str, ...] = ()
) -> list[TablePlayed]:
    """Play attacks, without the adversary who has no release: no word depends on it."""
    scene = TableScene(
        stage=on,
        adversary=READER,
        games=Games(rounds=on.rounds, secrets=secrets),
        guess=False,
        seed=seed,
        log=SilentLog(),
    )
    done = [play(scene, attack) for attack in chosen]
    assert all(p.status == "finished" for p in done), [p.reason for p in done]
    return done


def game(attack: ChosenAttack) -> str:
    """Return the game of an attack."""
    return attack.offered.offer.game


def words(done: Sequence[TablePlayed], seed: int) -> tuple[Verdicts, dict[str, Word]]:
    """Judge attacks as ``leakpro_core.tabular.assemble`` does; return a word for each family."""
    found, _ = judged(done, POLICY, seed)
    games = [g for g in dict.fromkeys(game(p.attack) for p in done) if g != "membership"]
    findings: list[Finding] = [
        judge.finding(
            found.detections,
            POLICY,
            adversary=READER.name,
            family=family,
            sampling="random",
            models=1,
            invalid=None,
            unfinished=(),
        )
        for family in (judge.MAIN, judge.TENTH)
    ]
    findings += [
        judge.success_finding(
            found.successes,
            POLICY,
            adversary=READER.name,
            game=one,
            people=0,
            invalid=None,
            unfinished=(),
        )
        for one in games
    ]
    return found, {f.family: f.word for f in findings}


def leaks(found: Mapping[str, str]) -> list[str]:
    """Return the families with a leak word."""
    return [family for family, word in found.items() if word in LEAKS]


# No leak: attacks answer once, without knowing the arms; then these are redrawn


@frozen(kw_only=True)
class Answered:
    """What all attacks said about people of whom nobody's rows were released.

    people: all of them, a row and a number each; asked: how many of the first ones linkability and
    inference are about; exposed: how many of these, and of the others, are called original.
    fixed: attacks whose claims are about people; open: answers that are tried on both arms.
    """

    stage: TableStage
    people: Table
    tenth: Bools = array(np.bool_)
    asked: int
    exposed: tuple[int, int]
    fixed: tuple[TablePlayed, ...]
    open: tuple[tuple[ChosenAttack, object], ...]


def answered(
    known: Mapping[str, Table],
    chosen: Sequence[ChosenAttack],
    seed: int,
    *,
    original: int = 4800,
    control: int = 4800,
    rounds: int = ATTACKED,
    secrets: tuple[str, ...] = (),
) -> Answered:
    """Let every attack answer once, before people drawn from both tables of real rows."""
    pool = stacked([known["original"], known["control"]])
    rows = np.random.default_rng([32, seed]).permutation(len(pool))[: original + control]
    people = evolve(pool.rows(rows), subjects=np.arange(len(rows)))
    about = min(rounds, original), min(rounds, control)
    asked, exposed = sum(about), (about[0], original - about[0])
    inside = np.zeros(len(people), np.bool_)
    inside[: about[0]] = inside[asked : asked + exposed[1]] = True
    some = np.arange(len(people)) < asked
    whole = stage(
        known["copula"], people.rows(inside), people.rows(~inside), known["auxiliary"], rounds
    )
    tenth = np.zeros(len(people), np.bool_)
    tenth[inside], tenth[~inside] = whole.tenth_original, whole.tenth_control
    few = evolve(
        whole,
        original=people.rows(inside & some),
        control=people.rows(~inside & some),
        tenth_original=tenth[inside & some],
        tenth_control=tenth[~inside & some],
    )
    by_game = {"membership": whole, "linkability": few, "attribute-inference": few}
    fixed = [
        p
        for name, on in by_game.items()
        for p in played(on, [a for a in chosen if game(a) == name], seed, secrets)
    ]
    tried = evolve(whole, rounds=rounds // 2)
    return Answered(
        stage=tried,
        people=people,
        tenth=tenth,
        asked=asked,
        exposed=exposed,
        fixed=tuple(fixed),
        open=tuple((a, asks(a, tried, seed)) for a in chosen if game(a) not in by_game),
    )


def asks(attack: ChosenAttack, on: TableStage, seed: int) -> object:
    """Return the answer of an attack whose challenge holds no people."""
    drawn = {"singling-out": singling_out.challenge, "copies": copies.challenge}[game(attack)](on)
    with tempfile.TemporaryDirectory() as scratch:
        plain = PlainRun(seed=spawn(seed, attack.label), scratch=Path(scratch))
        answer: object = resolve(attack.offered.offer.ref)(drawn, attack.options, plain)
    return answer


def redrawn(said: Answered, seed: int) -> list[TablePlayed]:
    """Return what the same answers come to where other people are called original."""
    rng = np.random.default_rng([33, seed])
    inside = np.zeros(len(said.people), np.bool_)
    inside[rng.permutation(said.asked)[: said.exposed[0]]] = True
    others = said.asked + rng.permutation(len(said.people) - said.asked)
    inside[others[: said.exposed[1]]] = True
    again = []
    for p in said.fixed:
        assert p.refereed is not None
        e = p.refereed.evidence
        again.append(
            evolve(p, refereed=evolve(p.refereed, evidence=evolve(e, exposed=inside[e.subject])))
        )
    on = evolve(
        said.stage,
        original=said.people.rows(inside),
        control=said.people.rows(~inside),
        tenth_original=said.tenth[inside],
        tenth_control=said.tenth[~inside],
    )
    for attack, answer in said.open:
        if isinstance(answer, CopiesAnswer):
            found = copies.referee(answer, on, None, attack=attack.label, seed=seed)
        else:
            assert isinstance(answer, SinglingOutAnswer)
            found = singling_out.referee(answer, on, None, attack=attack.label)
        again.append(TablePlayed(attack=attack, adversary=READER, refereed=found))
    return again


def null_words(said: Answered, seed: int) -> dict[str, str]:
    """Return the word of each family once arms are redrawn: a leak word is wrong."""
    return {family: word.value for family, word in words(redrawn(said, seed), seed)[1].items()}


# A known leak


def planted(
    known: Mapping[str, Table], share: float, seed: int, *, jitter: float = 0.0, n: int = PEOPLE
) -> TableStage:
    """Release n rows of the copula, each with chance ``share`` a person's row instead.

    Nobody is copied twice. jitter: standard deviation of the noise that is added to numbers, as a
    share of theirs; whole numbers stay whole.
    """
    rng = np.random.default_rng([34, seed])
    drawn = {
        name: known[name].rows(rng.permutation(len(known[name]))[:n])
        for name in ("copula", "original", "control", "auxiliary")
    }
    where = np.flatnonzero(rng.random(n) < share)
    whose = rng.permutation(n)[: len(where)]
    released = drawn["copula"]
    values = []
    for column, old, theirs in zip(
        released.columns, released.values, drawn["original"].values, strict=True
    ):
        new, copies_of = old.copy(), theirs[whose]
        if jitter and column.measured:
            copies_of = copies_of + jitter * theirs.std() * rng.normal(size=len(whose))
            copies_of = np.round(copies_of) if column.integer else copies_of
        new[where] = copies_of
        values.append(new)
    return stage(
        evolve(released, values=tuple(values)),
        drawn["original"],
        drawn["control"],
        drawn["auxiliary"],
        n // 2,
    )


@frozen(kw_only=True)
class Counted:
    """What an audit of a planted leak came to.

    families: those with a leak word; exact: interval of the excess of exact copies; low: by
    attack, the lower end of the interval of the excess of all claims, or of the TPR at FPR 1%
    less 1%; value: the same without error.
    """

    families: tuple[str, ...]
    exact: tuple[float, float, float]
    low: Mapping[str, float]
    value: Mapping[str, float]


def counted(on: TableStage, chosen: Sequence[ChosenAttack], seed: int) -> Counted:
    """Play and judge every attack on a planted leak."""
    found, said = words(played(on, chosen, seed, SECRETS), seed)
    low: dict[str, float] = {}
    value: dict[str, float] = {}
    for one in found.detections:
        for p in one.points:
            if (one.family, p.kind, p.level) == (judge.MAIN, "fpr", 0.01):
                low[one.label], value[one.label] = p.tpr.low - 0.01, p.tpr.value - 0.01
    exact = (np.nan, np.nan, np.nan)
    for each in found.successes:
        for q in each.points:
            if (q.facet, q.coverage) == ("", "all claims"):
                low[each.label], value[each.label] = q.excess.low, q.excess.value
            if (each.game, q.facet) == ("copies", "exact"):
                exact = (q.excess.value, q.excess.low, q.excess.high)
    return Counted(families=tuple(leaks(said)), exact=exact, low=low, value=value)


# Whole audits by a plan


def plan(control: int, *, fitting: bool) -> str:
    """Return a plan; fitting: what is tolerated is what so many control people can show."""
    text = PLAN.format(secrets=json.dumps(SECRETS), **DEFAULT)
    if not fitting:
        return text
    text = PLAN.format(secrets=json.dumps(SECRETS), **DEFAULT | FITTING[control])
    names = [a.label for a in attacks() if a.label != "tree"]
    return text + "".join(f'[[attacks]]\nname = "{name}"\n' for name in names)


def whole(released: str, control: int, *, fitting: bool = False) -> RiskReport:
    """Run an audit of Adult, controls and all, with the first ``control`` of the control rows."""
    found = adult()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pq.write_table(found[released], folder / "synthetic.parquet")
        pq.write_table(found["original"], folder / "original.parquet")
        pq.write_table(found["control"].slice(0, control), folder / "control.parquet")
        pq.write_table(found["auxiliary"], folder / "auxiliary.parquet")
        path = folder / "audit.toml"
        path.write_text(plan(control, fitting=fitting))
        installed = PluginSet.find(Registry())
        return run(parsed(read(path), installed), installed, folder / "run")


def told(report: RiskReport) -> dict[str, object]:
    """Return word, figures and open bounds of each family of a report."""
    families: dict[str, object] = {}
    for f in report.findings:
        mine = [a for a in report.attacks if a.label in f.attacks]
        open_ = [[b.facet, b.high, b.tolerated, b.needed] for b in f.bounds if b.high > b.tolerated]
        open_ += [
            [e.fpr, e.high, e.tolerated, e.needed] for e in f.exclusion if e.high > e.tolerated
        ]
        families[f.family] = {
            "word": f.word.value,
            "best": f.best,
            "figures": {a.label: of_attack(a) for a in mine if f.family != judge.TENTH},
            "above what is tolerated": open_,
        }
    return {
        "word": report.word.value,
        "families": families,
        "controls": {c.name: c.result for c in report.controls},
    }


def of_attack(a: AttackResult) -> dict[str, object]:
    """Return value and limits of an attack: TPR at FPR 1% and AUC, or the excess over control.

    Of all claims, of the surest tenth, and of the facet where it is largest.
    """
    if a.auc is not None:
        rates = [p.tpr for p in a.points if (p.kind, p.level) == ("fpr", 0.01)]
        return {"AUC": limits(a.auc), "TPR at FPR 1%": limits(rates[0]) if rates else None}
    found = {p.coverage: limits(p.excess) for p in a.success if not p.facet}
    facets = [p for p in a.success if p.facet]
    if facets:
        most = max(facets, key=lambda p: p.excess.low)
        found[most.facet] = limits(most.excess)
    return {**found, "people": a.people, "rounds": a.made}


def limits(of: Estimate) -> list[float]:
    """Return value, low and high."""
    return [round(x, 4) for x in (of.value, of.low, of.high)]


# Figures


def of_nulls(found: Sequence[Mapping[str, str]]) -> dict[str, object]:
    """Return how often a family had a leak word, any family had one, and all words."""
    families = list(found[0])
    return {
        "leak word in any family": share([bool(leaks(each)) for each in found]),
        **{family: dict(Counter(each[family] for each in found)) for family in families},
    }


def of_planted(found: Sequence[Mapping[str, Any]], truth: float) -> dict[str, object]:
    """Return whether intervals hold the truth, and who exceeds it."""
    labels = [label for label in found[0]["low"] if not label.startswith("selected")]
    held = [one["exact"][1] <= truth <= one["exact"][2] for one in found]
    # ``low`` takes the threshold's FPR for 1%; it may be as high as its own upper limit.
    spare = dict.fromkeys(DETECTING, clopper_pearson(PEOPLE // 100, PEOPLE).high - 0.01)
    return {
        "copies, exact: interval holds the truth": share(held),
        "copies, exact: mean excess": round(float(np.mean([o["exact"][0] for o in found])), 4),
        "lower end above the truth": {
            label: share([one["low"][label] - spare.get(label, 0.0) > truth for one in found])
            for label in labels
        },
        "mean excess": {
            label: round(float(np.mean([one["value"][label] for one in found])), 4)
            for label in labels
        },
        "leak word": of_found(found),
    }


def of_found(found: Sequence[Mapping[str, Any]]) -> dict[str, object]:
    """Return how often each family had a leak word."""
    families = sorted({family for one in found for family in one["families"]})
    return {family: share([family in one["families"] for one in found]) for family in families}


def figures(found: Mapping[str, Sequence[Any]]) -> dict[str, object]:
    """Return all figures."""
    nulls = {c: [w for part in found[f"null, {c}"] for w in part] for c in CONTROLS}
    return {
        "one audit": {name: some[0] for name, some in found.items() if name.startswith("audit")},
        "no leak": {
            "all": of_nulls([w for some in nulls.values() for w in some]),
            **{f"control {c}": of_nulls(some) for c, some in nulls.items()},
        },
        "planted copies": {
            f"{s:.0%} of the rows": of_planted(found[f"planted, {s:.0%}"], s) for s in SHARES
        },
        "planted near copies, 20% of the rows": of_found(found["near"]),
    }


Case = Callable[[int], Any]


def cases() -> dict[str, tuple[int, Case]]:
    """Return how many there are of each, and what one of them is."""
    known, chosen = tables(adult()), attacks()
    made: dict[str, tuple[int, Case]] = {}

    def single(released: str, control: int, *, fitting: bool = False) -> Case:
        return lambda _: told(whole(released, control, fitting=fitting))

    def null(control: int) -> Case:
        def case(seed: int) -> list[dict[str, str]]:
            said = answered(known, chosen, spawn(seed, control), control=control)
            return [null_words(said, spawn(seed, "arms", i)) for i in range(REDRAWN)]

        return case

    def leak(part: float, jitter: float) -> Case:
        return lambda seed: asdict(
            counted(planted(known, part, spawn(seed, str(part)), jitter=jitter), chosen, seed)
        )

    for control in CONTROLS:
        for released in ("leaky20", "copula"):
            made[f"audit, {released}, control {control}"] = 1, single(released, control)
        fits = single("copula", control, fitting=True)
        made[f"audit, copula, control {control}, a plan that fits"] = 1, fits
        made[f"null, {control}"] = SETS, null(control)
    for part in SHARES:
        made[f"planted, {part:.0%}"] = 100, leak(part, 0.0)
    made["near"] = 20, leak(0.2, 0.01)
    return made


def main() -> None:
    """Run everything and write the figures; with --keep go on from what is there."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep", type=Path, help="folder for outcomes; none is computed twice")
    asked, measured = parser.parse_args(), evidence.code_hash(PATHS)
    folder = None if asked.keep is None else asked.keep / measured[:16]
    found: dict[str, list[Any]] = {}
    for name, (count, case) in cases().items():
        found[name] = []
        for seed in range(count):
            kept = None if folder is None else folder / f"{name}, {seed}.json"
            if kept is not None and kept.exists():
                found[name].append(json.loads(kept.read_text()))
                continue
            # Through JSON, so that what was kept and what was not are alike.
            text = json.dumps(case(seed))
            found[name].append(json.loads(text))
            if kept is not None:
                kept.parent.mkdir(parents=True, exist_ok=True)
                write_atomic(kept, text.encode())
    if evidence.code_hash(PATHS) != measured:
        raise SystemExit("the code has changed in the meantime: these figures are of no code")
    print(evidence.write("synthetic", figures(found), PATHS))


if __name__ == "__main__":
    main()
