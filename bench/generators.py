"""Audits of generators, end to end: SDV's own synthesizers through ``leakpro audit``.

What is fitted on halves of the people finds what a generator remembers, and nothing where it
remembers nothing; people of several rows are counted as people; a killed run goes on. Every audit
is a plan of ``plans/`` and a run of the command; only the trainer that repeats rows is this
script's own. Writes results/generators.json. About an hour of CPU time; with ``--keep FOLDER``
no audit is run twice. ``--only NAME`` runs one part and writes no result.
"""

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import evidence
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from attrs import asdict, evolve
from leakpro_sdv.fitting import fit
from leakpro_sdv.recipe import GeneratorOptions
from leakpro_sdv.related import apart
from leakpro_sdv.tables import TableOptions, load
from leakpro_sdv.trainer import Generators

from leakpro_core.audit import run
from leakpro_core.draft import read
from leakpro_core.offers import TrainerOffer
from leakpro_core.options import build
from leakpro_core.parser import resolve
from leakpro_core.plugins import Offered, PluginSet
from leakpro_core.protocols import Run
from leakpro_core.records import Fitting, TableRelease, TrainingSet, TrainingUnit
from leakpro_core.report import to_json
from leakpro_core.statistics import auc
from leakpro_core.tabular.entities import joined
from leakpro_core.tabular.table import Kind, Table, stacked
from leakpro_core.testing.conformance import PlainRun
from leakpro_core.vetting.registry import Registry

PLANS = evidence.ROOT / "bench" / "plans"
ADULT = evidence.ROOT.parent / "shared" / "data" / "adult_audit"
LEAKPRO = Path(sys.executable).with_name("leakpro")
CODE = (
    "bench/generators.py",
    "bench/plans/adult_copula.toml",
    "bench/plans/adult_ctgan.toml",
    "bench/plans/families.toml",
    "bench/plans/overfitted.toml",
    "bench/plans/sequences.toml",
    "leakpro_core/games/samples.py",
    "leakpro_core/judge/one_by_one.py",
    "leakpro_core/shadows.py",
    "leakpro_core/tabular/generators.py",
    "leakpro_core/tabular/one_by_one.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/distance.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/domias.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/fitting.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/queries.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/related.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/sampling.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/scores.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/shadow_generators.py",
    "plugins/leakpro_sdv/src/leakpro_sdv/trainer.py",
)
TVAE = """synthesizer = "TVAE"
epochs = 600
batch_size = 50
parameters = { l2scale = 0.0, loss_factor = 10, compress_dims = [256, 256], \
decompress_dims = [256, 256] }
"""
COPULA = 'synthesizer = "GaussianCopula"\n'
HERE = "[execution]\nworkers = 0\n\n"

CANARIES = 10
"""Outlying records in the original, and as many among the control."""

DETECTING = ("distance", "neighbour-ratio", "domias", "shadow-generators")
CHILD = ("ward", "charge", "nights", "urgent")
OUTLIER, COPIED = 0, 1
"""Patients of the original: one who is like nobody else, and one whose rows are released."""

RELEASED = {
    "families": (
        ("targets = 2", 'synthetic = "synthetic_parents.parquet"'),
        ("[target.children]", '[target.children]\nsynthetic = "synthetic_children.parquet"'),
    ),
    "sequences": (("targets = 2", 'synthetic = "synthetic.parquet"'),),
}

Figures = dict[str, object]
Audit = Callable[[Path, Path], dict[str, Any]]


# Runs of the command


def audited(plan: Path, out: Path) -> dict[str, Any]:
    """Return the report of a run, with the CPU seconds that it took, its workers included."""
    before = _cpu()
    done = subprocess.run(
        [LEAKPRO, "audit", plan, "--out", out], capture_output=True, text=True, check=False
    )
    # Progress is JSON; whatever else is said there was not meant for the user.
    noise = [line for line in done.stderr.splitlines() if not line.startswith("{")]
    if noise or not (out / "SHA256SUMS").exists():
        raise RuntimeError("\n".join(noise))
    report: dict[str, Any] = json.loads((out / "report.json").read_text("utf-8"))
    return report | _seconds(out, before)


def _seconds(out: Path, before: float) -> dict[str, int]:
    """Return the CPU seconds since, or those noted when the run was not yet there."""
    clock = out.with_suffix(".seconds")
    if not clock.exists():
        clock.write_text(str(round(_cpu() - before)))
    return {"CPU seconds": int(clock.read_text())}


def _cpu() -> float:
    """Return the CPU seconds of this process and of those that it waited for."""
    used = [resource.getrusage(whose) for whose in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def edited(name: str, path: Path, *changes: tuple[str, str]) -> Path:
    """Write a copy of a plan with some of its text replaced, and return its path."""
    text = (PLANS / f"{name}.toml").read_text("utf-8")
    for old, new in changes:
        if old not in text:
            raise ValueError(f"{name}.toml does not say {old!r}")
        text = text.replace(old, new)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def released(name: str) -> tuple[tuple[str, str], ...]:
    """Return what changes a plan of patients to one of a released table, without shadows."""
    text = (PLANS / f"{name}.toml").read_text("utf-8")
    shadows = text[text.index("[shadows]") : text.index("[games]")]
    attack = '[[attacks]]\nname = "shadow-generators"\n'
    return *RELEASED[name], (shadows, ""), (attack, "")


def killed(plan: Path, out: Path) -> tuple[int, dict[str, Any]]:
    """Kill a run (SIGKILL, workers and all) when its first generators are fitted, and finish it.

    Returns how many models were not fitted again, and the report.
    """
    process = subprocess.Popen(
        [LEAKPRO, "audit", plan, "--out", out],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    while process.poll() is None and not _events(out, "trained"):
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    fitted = int(_events(out, "trained")[-1]["models"])
    report = audited(plan, out)
    known = [int(event["known"]) for event in _events(out, "training")][-1]
    if known < fitted:
        raise AssertionError(f"{fitted} models were fitted, {known} were known")
    return known, report


def _events(out: Path, name: str) -> list[dict[str, Any]]:
    log = out / "log.jsonl"
    lines = log.read_text("utf-8").splitlines() if log.exists() else []
    events = [json.loads(line) for line in lines if line.endswith("}")]
    return [event for event in events if event["event"] == name]


# What a report says


def figures(report: Mapping[str, Any]) -> Figures:
    """Return an audit's figures: people, words, attacks with intervals, spread and growth."""
    data = report["data"]
    return {
        "people": data["subjects"],
        "rows of original and control": [data["members"], data["nonmembers"]],
        "released rows": data["released"],
        "CPU seconds": report["CPU seconds"],
        "words": {f["family"]: f["word"] for f in report["findings"]},
        "one person at a time": _single_people(report),
        "attacks": {a["label"]: _attack(a) for a in report["attacks"] if a["status"] == "finished"},
    }


def _single_people(report: Mapping[str, Any]) -> str:
    """Return what the report notes on single people, "" where there are no shadow generators."""
    start = "One person at a time"
    notes = [note for attack in report["attacks"] for note in attack["notes"]]
    said = [note.removeprefix(start).lstrip(":, ") for note in notes if note.startswith(start)]
    return "; ".join(said)


def _attack(attack: Mapping[str, Any]) -> Figures:
    detects = attack["game"] == "membership"
    told: Figures = {"p": round(attack["p_value"], 4)}
    if detects:
        told["AUC"] = interval(attack["auc"])
    elif attack["success"]:  # there is no point of too few claims
        told["excess"] = interval(attack["success"][0]["excess"])
    for key in ("spread", "growth"):
        if attack[key]:
            told[key] = [{"of": p["label"], **interval(p["excess"])} for p in attack[key]]
    return told


def interval(estimate: Mapping[str, Any]) -> dict[str, float]:
    """Return an estimate as figures."""
    numbers = {key: round(estimate[key], 4) for key in ("value", "low", "high")}
    return numbers | {"n": estimate["n"]}


def claims(out: Path, attack: str) -> pd.Series:
    """Return the mean claim of each subject."""
    rounds = pd.read_parquet(out / "evidence" / f"{attack}.parquet")
    mean: pd.Series = rounds.groupby("subject")["claim"].mean()
    return mean


def rank(claim: pd.Series, subject: int) -> int:
    """Return a subject's rank by its claim; all that claim as much stand before it."""
    return int((claim >= claim[subject]).sum())


def people(plan: Path, **roles: str) -> TableRelease:
    """Return the tables of a plan as its audit knows them, for who is who in the evidence.

    roles: files that stand for others.
    """
    table = _plan(plan)["target"] | roles
    table.pop("loader")
    options = build(TableOptions, table, at="[target]", folder=plan.parent)
    release = load(options, PlainRun(seed=0, scratch=plan.parent)).tables
    assert release is not None
    return release


def recipe(plan: Path) -> GeneratorOptions:
    """Return what a plan's shadow generators are."""
    table = _plan(plan)["shadows"]
    own = {key: value for key, value in table.items() if key not in ("trainer", "count")}
    return build(GeneratorOptions, own, at="[shadows]", folder=plan.parent)


def _plan(path: Path) -> dict[str, Any]:
    return tomllib.loads(path.read_text("utf-8"))


# Tables


def few(folder: Path, n: int = 200) -> None:
    """Write rows of Adult for ``overfitted.toml``, the last of either arm outlying ones."""
    original = pq.read_table(ADULT / "original.parquet")
    control = pq.read_table(ADULT / "control.parquet")
    odd = outlying(original.slice(n), 2 * CANARIES, np.random.default_rng(6))
    folder.mkdir(parents=True, exist_ok=True)
    for role, table, canaries in (
        ("original", original.slice(0, n), odd.slice(0, CANARIES)),
        ("control", control.slice(0, n), odd.slice(CANARIES)),
        ("auxiliary", control.slice(n, n), odd.slice(0, 0)),
        ("strangers", control.slice(2 * n, n), odd.slice(0, 0)),
    ):
        pq.write_table(pa.concat_tables([table, canaries]), folder / f"{role}.parquet")


def outlying(table: pa.Table, count: int, rng: np.random.Generator) -> pa.Table:
    """Return rows with a value of each column's own, all values being equally likely."""
    columns = {}
    for name in table.column_names:
        values = table[name].unique().drop_null()
        columns[name] = values.take(rng.integers(0, len(values), count))
    return pa.table(columns, schema=table.schema)


def patients(n: int, seed: int, *, outlier: bool = False) -> tuple[pa.Table, pa.Table]:
    """Return n patients and their visits; with ``outlier`` patient 0 is like nobody else."""
    rng = np.random.default_rng([46, seed])
    age, smoker = rng.integers(18, 95, n), rng.random(n) < 0.3
    region = rng.choice(["north", "south", "east", "west"], n, p=[0.4, 0.3, 0.2, 0.1])
    visits, severe = 1 + rng.poisson(2 + smoker), rng.normal(size=n)
    if outlier:
        visits[OUTLIER], severe[OUTLIER] = 12, 6.0
    who = np.repeat(np.arange(n), visits)
    m = len(who)
    charge = np.exp(5 + 0.01 * age[who] + 0.5 * severe[who] + 0.4 * rng.normal(size=m))
    ward = rng.choice(["heart", "bones", "eyes", "skin", "lungs"], m, p=[0.35, 0.3, 0.15, 0.1, 0.1])
    ward = np.where(outlier & (who == OUTLIER), "burns", ward)
    key = 10_000 * seed + np.arange(n)
    parents = pa.table({"patient": key, "age": age, "region": region, "smoker": smoker})
    children = {
        "patient": key[who],
        "ward": ward,
        "charge": np.round(charge, 2),
        "nights": rng.poisson(np.exp(0.5 * severe[who])),
        "urgent": rng.random(m) < 0.2 + 0.2 * smoker[who],
    }
    return parents, pa.table(children)


def write_people(folder: Path, n: int = 120) -> None:
    """Write patients of every role for ``families.toml``, and joined for ``sequences.toml``."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed, role in enumerate(("original", "control", "auxiliary")):
        write_role(folder, role, n, seed)


def write_role(folder: Path, role: str, n: int, seed: int) -> None:
    """Write n patients; the original holds an outlying one."""
    _write(folder, role, *patients(n, seed, outlier=role == "original"))


def _write(folder: Path, role: str, parents: pa.Table, children: pa.Table) -> None:
    pq.write_table(parents, folder / f"{role}_parents.parquet")
    pq.write_table(children, folder / f"{role}_children.parquet")
    sequences = joined(parents, children, "patient", role=role)
    pq.write_table(sequences, folder / f"{role}.parquet")


def write_copied(folder: Path, original: Table, made: Table) -> None:
    """Write a synthesizer's release, with one patient's rows in the place of its first patients.

    As both files of ``families.toml`` and that of ``sequences.toml``.
    """
    copied = original.rows(original.subjects == subject(original, COPIED))
    after = made.rows(made.subjects > made.subjects[len(copied) - 1])
    first = evolve(copied, subjects=np.full(len(copied), made.subjects[0]))
    files = [
        arrow(table).append_column("patient", pa.array(table.subjects))
        for table in apart(stacked([first, after]), CHILD, "[shadows]")
    ]
    _write(folder, "synthetic", *files)


def subject(table: Table, number: int) -> int:
    """Return the number in the audit of the patient who is ``number`` in the file."""
    return int(table.subjects[np.sort(np.unique(table.subjects, return_index=True)[1])[number]])


def sampled(plan: Path, table: Table) -> Table:
    """Return as many rows as a table has, of the plan's synthesizer fitted on it."""
    made = fit(recipe(plan), table, 7, at="[shadows]", what="generator")
    return made.sample(len(table), 7)


def arrow(table: Table) -> pa.Table:
    """Return a table as files hold it."""
    columns: dict[str, object] = {}
    for column, values in zip(table.columns, table.values, strict=True):
        if column.kind is Kind.BOOLEAN:
            columns[column.name] = values.astype(bool)
        elif column.measured:
            columns[column.name] = values
        else:
            columns[column.name] = np.array(column.levels)[values]
    return pa.table(columns)


# A trainer that remembers everything


def repeat(data: TrainingSet, unit: TrainingUnit, run: Run) -> Generators:
    """Release rows that were trained on, drawn with replacement."""
    fitting = unit.options
    assert isinstance(fitting, Fitting)
    drawn = [
        np.random.default_rng(seed).choice(rows, fitting.rows)
        for rows, seed in zip(unit.rows, unit.seeds, strict=True)
    ]
    return Generators(
        released=data.records[np.stack(drawn)],
        owners=np.tile(np.arange(fitting.rows), (len(drawn), 1)),
    )


def in_process(plan: Path, out: Path) -> dict[str, Any]:
    """Return the report of a run in this process, which knows that trainer."""
    found = PluginSet.find(Registry())
    offer = TrainerOffer(
        name="repeat", ref="generators:repeat", summary="Repeats rows.", kind="generator"
    )
    mine = Offered(offer=offer, plugin="bench", version="0")
    installed = evolve(found, trainers=(*found.trainers, mine))
    before = _cpu()
    report: dict[str, Any] = json.loads(
        to_json(run(resolve(read(plan), installed), installed, out))
    )
    return report | _seconds(out, before)


# The parts


def on_adult(home: Path) -> Figures:
    """Synthesizers of SDV on 4,800 rows of Adult, 32 and four shadows of them."""
    plans = {"Adult, GaussianCopula": "adult_copula", "Adult, CTGAN": "adult_ctgan"}
    return {
        what: figures(audited(PLANS / f"{plan}.toml", home / plan)) for what, plan in plans.items()
    }


def overfitted(home: Path) -> Figures:
    """Few rows, outlying ones among them: what TVAE remembers, and what a copula does not."""
    folder = home / "few"
    few(folder)
    plans = {
        "few rows, TVAE": edited("overfitted", folder / "tvae.toml"),
        "few rows, GaussianCopula": edited("overfitted", folder / "copula.toml", (TVAE, COPULA)),
    }
    return _told(plans, audited, home)


def remembered(home: Path, n: int = 200) -> Figures:
    """The same people and a trainer that repeats rows: of theirs, and of strangers."""
    folder = home / "few"
    few(folder, n)
    trainer = ('trainer = "sdv"', 'trainer = "repeat"'), (TVAE, ""), ("[report]", HERE + "[report]")
    strangers = ("targets = 2", 'synthetic = "strangers.parquet"')
    plans = {
        "rows repeated": edited("overfitted", folder / "repeat.toml", *trainer),
        "rows of strangers repeated": edited(
            "overfitted", folder / "repeat_strangers.toml", *trainer, strangers
        ),
    }
    return _told(plans, in_process, home)


def _told(plans: Mapping[str, Path], audit: Audit, home: Path) -> Figures:
    outs = {name: home / plan.stem for name, plan in plans.items()}
    return {
        name: _with_canaries(plan, audit(plan, outs[name]), outs[name])
        for name, plan in plans.items()
    }


def _with_canaries(plan: Path, report: Mapping[str, Any], out: Path) -> Figures:
    """Return an audit's figures and, of each attack, how it does on canaries alone.

    AUC: those in the original against those in the control; ranks of the former among everybody.
    """
    arms = people(plan)
    inside, outside = (table.subjects[-CANARIES:] for table in (arms.original, arms.control))
    found = figures(report)
    told: Figures = {}
    for attack in DETECTING:
        if (out / "evidence" / f"{attack}.parquet").exists():
            claim = claims(out, attack)
            both = claim[np.concatenate([inside, outside])].to_numpy()
            told[attack] = {
                "AUC": interval(asdict(auc(both, np.arange(2 * CANARIES) < CANARIES))),
                "ranks": sorted(rank(claim, each) for each in inside),
            }
    return found | {"canaries": told}


def entities(name: str, home: Path, n: int = 120) -> Figures:
    """People of several rows: ``families`` by HMA, or ``sequences`` by PAR.

    Two audits: of synthesizers fitted on an outlying patient, beside shadows fitted with it or
    without, which also tell whether that patient is given away; and, without shadows, of a release
    with an ordinary patient's rows copied into it.
    """
    folder = home / name
    write_people(folder, n)
    fitted = edited(name, folder / f"{name}_fitted.toml")
    copied = edited(name, folder / f"{name}_copied.toml", *released(name))
    original = people(fitted).original
    if not (folder / "synthetic.parquet").exists():
        write_copied(folder, original, sampled(fitted, original))
    found: Figures = {}
    for what, plan, number in (
        (f"{name}, an outlying patient", fitted, OUTLIER),
        (f"{name}, a patient copied", copied, COPIED),
    ):
        out = home / plan.stem
        report = audited(plan, out)
        played = [a for a in DETECTING if (out / "evidence" / f"{a}.parquet").exists()]
        ranks = {a: rank(claims(out, a), subject(original, number)) for a in played}
        found[what] = figures(report) | {"rank of the patient": ranks}
    return found


def resumed(home: Path) -> Figures:
    """A run with two workers, and one that is killed and goes on, end as one with one worker."""
    few(home / "few")
    changes = (TVAE, COPULA), ("count = 8", "count = 10")
    one = edited("overfitted", home / "few" / "one.toml", *changes)
    two = ("[report]", "[execution]\nworkers = 2\n\n[report]")
    beside = edited("overfitted", home / "few" / "two.toml", *changes, two)
    expected = audited(one, home / "one")["provenance"]["evidence_sha256"]
    known, report = killed(one, home / "killed")
    again = report["provenance"]["evidence_sha256"]
    parallel = audited(beside, home / "two")["provenance"]["evidence_sha256"]
    return {
        "models": 12,
        "models that were not fitted again": known,
        "same evidence after a kill": expected == again,
        "same evidence with two workers": expected == parallel,
    }


# What is written


def audits(found: Mapping[str, Any]) -> list[Figures]:
    """Return a row an audit."""
    return [
        {
            "audit": name,
            "people": audit["people"],
            "released rows": audit["released rows"],
            "membership": audit["words"]["membership"],
            "one person at a time": audit["one person at a time"],
            "CPU seconds": audit["CPU seconds"],
        }
        for name, audit in found.items()
    ]


def attacks(found: Mapping[str, Any]) -> list[Figures]:
    """Return a row an attack of each audit: an AUC, or the excess of all claims.

    On other releases of a membership attack the excess is that of the AUC over 1/2.
    """
    rows = []
    for name, audit in found.items():
        for label, attack in audit["attacks"].items():
            estimate = attack.get("AUC") or attack.get("excess")
            row = {"audit": name, "attack": label, "of": "AUC" if "AUC" in attack else "excess"}
            if estimate:
                row |= estimate | {"p": attack["p"]}
            row["excess, other releases"] = [_short(step) for step in attack.get("spread", [])[1:]]
            shares = [s for s in attack.get("growth", []) if s["of"] != "this release"]
            row["excess, 25% and 50% of the release"] = [_short(step) for step in shares]
            canary = audit.get("canaries", {}).get(label)
            row["AUC of canaries"] = "" if canary is None else _short(canary["AUC"])
            row["rank of the patient"] = audit.get("rank of the patient", {}).get(label, "")
            rows.append(row)
    return rows


def _short(estimate: Mapping[str, Any]) -> str:
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


PARTS: dict[str, Callable[[Path], Figures]] = {
    "adult": on_adult,
    "overfitted": overfitted,
    "remembered": remembered,
    "families": lambda home: entities("families", home),
    "sequences": lambda home: entities("sequences", home),
}


def main() -> None:
    """Run all parts and write their figures, or print those of one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", choices=[*PARTS, "resumed"])
    parser.add_argument("--keep", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) if asked.keep is None else asked.keep
        home.mkdir(exist_ok=True)
        if asked.only is not None:
            print(json.dumps((PARTS | {"resumed": resumed})[asked.only](home), indent=2))
            return
        found: Figures = {}
        for make in PARTS.values():
            found |= make(home)
        told = {
            "audits": audits(found),
            "attacks": attacks(found),
            "killed, and beside each other": resumed(home),
        }
    print(evidence.write("generators", told, CODE))


if __name__ == "__main__":
    main()
