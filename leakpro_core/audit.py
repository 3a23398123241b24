"""One audit, from top to bottom: load, train, attack, judge, report."""

import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import product
from pathlib import Path

from leakpro_core.assemble import assemble
from leakpro_core.errors import CannotWrite, LeakProError, PluginBroken
from leakpro_core.journal import journal
from leakpro_core.offers import ReporterOffer
from leakpro_core.outlook import refuse_unplayable
from leakpro_core.plan import Plan
from leakpro_core.play import play
from leakpro_core.plugins import Offered, PluginSet
from leakpro_core.protocols import Log
from leakpro_core.records import Release
from leakpro_core.references import resolve
from leakpro_core.rehearsal import fingerprint, load, rehearse, released
from leakpro_core.replay import keep, recall
from leakpro_core.report import RiskReport
from leakpro_core.scene import scene
from leakpro_core.seeds import spawn
from leakpro_core.store import Store, at_work, read_report
from leakpro_core.summary import describe
from leakpro_core.tabular.audit import audit as of_tables
from leakpro_core.updates.audit import audit as of_updates
from leakpro_core.validity import after, before
from leakpro_core.vetting import for_workers


def run(
    plan: Plan,
    plugins: PluginSet,
    folder: Path,
    *,
    progress: Callable[[Mapping[str, object]], None] | None = None,
) -> RiskReport:
    """Run the plan into ``folder``, or continue what stands there; return the report.

    A finished run is read back, not computed again. ``LeakProError`` for whatever a user can mend.
    """
    with at_work(folder, describe(plan, plugins)) as store:
        return store.finished() or _run(plan, plugins, store, progress)


def _run(
    plan: Plan,
    plugins: PluginSet,
    store: Store,
    progress: Callable[[Mapping[str, object]], None] | None,
) -> RiskReport:
    started, clock = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), time.monotonic()
    with (
        journal(store.folder / "log.jsonl", progress) as log,
        tempfile.TemporaryDirectory() as own,
    ):
        # 1 target loading
        release = released(plan, Path(own), log)
        audited = _of_models if release.tables is None else of_tables
        audited = audited if release.updates is None else of_updates
        report = audited(plan, plugins, release, store, log, started=started, clock=clock)
        store.write_report(report)
        store.seal()
        log.info("finished", word=report.word.value)
    return report


def _of_models(
    plan: Plan,
    plugins: PluginSet,
    release: Release,
    store: Store,
    log: Log,
    *,
    started: str,
    clock: float,
) -> RiskReport:
    loaded = load(plan, release)
    refuse_unplayable(plan, loaded, log)
    store.expect(fingerprint(loaded))
    # 2 shadow training
    cast = rehearse(plan, loaded, store, for_workers(plugins), log)
    # validity controls that need no attack
    valid = before(plan, cast, loaded.strength, seed=spawn(plan.seed, "controls"), log=log)
    # 3 attack scoring
    scenes = [
        scene(
            cast,
            adversary,
            blind=valid.blind,
            placebos=plan.controls.placebo,
            curve=plan.controls.curve,
            seed=spawn(plan.seed, "scene"),
            log=log,
        )
        for adversary in plan.adversaries
    ]
    played = []
    for number, (one, attack) in enumerate(product(scenes, plan.attacks)):
        known = recall(store.answers, one, attack)
        log.info(
            "attacking" if known is None else "recalled",
            attack=attack.label,
            adversary=one.adversary.name,
            number=number,
            of=len(scenes) * len(plan.attacks),
        )
        played.append((one, known or keep(store.answers, one, play(one, attack))))
    # the judge
    valid = after(plan, cast, valid, played, seed=spawn(plan.seed, "controls"))
    return assemble(plan, plugins, loaded, cast, valid, played, store, started=started, clock=clock)


def render(plan: Plan, report: RiskReport, folder: Path) -> tuple[Path, ...]:
    """4 reporting: write the report in every format of the plan; return the files."""
    return _rendered(report, folder, [(c.offered, c.options) for c in plan.reporters])


def render_again(folder: Path, formats: Sequence[str], plugins: PluginSet) -> tuple[Path, ...]:
    """Write the report of a finished run in the named formats, by each reporter's defaults."""
    chosen = []
    for name in formats:
        offered = plugins.reporter(name)
        options = offered.offer.options
        chosen.append((offered, None if options is None else resolve(options)()))
    return _rendered(read_report(folder), folder, chosen)


def _rendered(
    report: RiskReport,
    folder: Path,
    reporters: Sequence[tuple[Offered[ReporterOffer], object]],
) -> tuple[Path, ...]:
    """Write all formats; one that fails does not keep the others from being written."""
    files: list[Path] = []
    failed: LeakProError | None = None
    for offered, options in reporters:
        try:
            files += resolve(offered.offer.ref)(report, folder, options)
        except LeakProError:
            raise
        except OSError as error:
            failed = CannotWrite(f"report {offered.offer.name!r}", found=str(error))
        except Exception as error:
            failed = PluginBroken(
                f"reporter {offered.offer.name!r} of {offered.plugin} failed",
                found=f"{type(error).__name__}: {error}".splitlines()[0],
                fix="Tell its author. The run is finished; leakpro report renders it again.",
            )
    if failed is not None:
        raise failed
    return tuple(files)
