"""What shadow training will cost, from a trial step on the machine that is to train."""

from collections.abc import Iterator

from attrs import frozen

from leakpro_core.plan import Plan
from leakpro_core.progress import duration
from leakpro_core.protocols import Log
from leakpro_core.records import Trial
from leakpro_core.references import resolve
from leakpro_core.rehearsal import Loaded, drawn, wanted
from leakpro_core.training import course, divide, slots, try_out
from leakpro_core.work import Vetting


@frozen(kw_only=True)
class Forecast:
    """seconds: wall time, None where not known; memory, disk, temporary: bytes at the peak.

    models are trained in ``units``, so many ``at_once``; memory is 0 where not known.
    """

    trial: Trial
    models: int
    units: int
    at_once: int
    seconds: float | None
    memory: int
    disk: int
    temporary: int


def forecast(plan: Plan, loaded: Loaded, vetting: Vetting | None, log: Log) -> Forecast | None:
    """Return what training costs; None where there is nothing to train."""
    people, target = loaded.population, loaded.release.target
    _, rows = drawn(plan, loaded)
    if not rows or people.records is None:
        return None
    architecture = None if target is None else target.architecture
    signals = wanted(plan)
    with course(plan, people, rows, signals, architecture=architecture, vetting=vetting) as planned:
        trial = try_out(planned, log)
        copies = sum(path.stat().st_size for path in planned.data)
    units = len(divide(rows, trial.choice.width))
    at_once = min(slots(plan), units)
    work = None
    if trial.seconds is not None:
        work = (len(rows) * trial.seconds + units * trial.overhead) / at_once
    spare = 0 if people.auxiliary is None else len(people.auxiliary.labels)
    values = 0
    for lens in signals.lenses:
        queries = 1 if not lens.probes else resolve(lens.probes)(people.records[:1]).shape[1]
        each = 1 + len(signals.temperatures) + people.classes * signals.keep_outputs
        values += queries * each
    disk = 4 * values * len(rows) * (len(people.labels) + spare)
    return Forecast(
        trial=trial,
        models=len(rows),
        units=units,
        at_once=at_once,
        seconds=work,
        memory=trial.memory * at_once,
        disk=disk,
        # Signals are put together, and once more for the challenge, each in an order of its own.
        temporary=copies + 2 * disk,
    )


def lines(cost: Forecast | None) -> Iterator[str]:
    """Yield the forecast in words."""
    if cost is None:
        return
    choice = cost.trial.choice
    yield (
        f"how: {choice.method}, {choice.width} at most in a unit, {cost.units} units, "
        f"{cost.at_once} at once, on {choice.device} in {choice.dtype}"
    )
    yield from (f"  {note}" for note in cost.trial.notes)
    if cost.seconds is None:
        yield "training: how long is not known, the trainer did not time it"
    else:
        yield f"training: about {duration(cost.seconds)}, by a trial step"
    yield (
        (f"memory: about {size(cost.memory)} beside the records; " if cost.memory else "")
        + f"disk: {size(cost.disk)} of signals, up to {size(cost.temporary)} of temporary files"
    )


def size(count: int) -> str:
    """Return bytes in words: ``12 MB``, ``3.4 GB``."""
    if count < 1e6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.0f} MB" if count < 1e9 else f"{count / 1e9:.1f} GB"
