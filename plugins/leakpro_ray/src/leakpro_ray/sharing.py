"""Units of work given out to Ray, as many at once as the plan says, and their results."""

from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import ray
from attrs import evolve, field, frozen
from ray import exceptions

from leakpro_core.errors import BadValue, LeakProError, TrainingFailed
from leakpro_core.work import Work, keep, portable
from leakpro_ray.options import RayOptions
from leakpro_ray.remote import Caller, caller, remote_function

_LOST = (
    exceptions.WorkerCrashedError,
    exceptions.OutOfMemoryError,
    exceptions.NodeDiedError,
    exceptions.ObjectLostError,
)
"""What is no mistake of a unit's, and may not happen again."""


@frozen(kw_only=True)
class Unit:
    """A unit that was given out. name: for messages; deaths: workers that it has lost."""

    position: int
    name: str
    work: Work = field(repr=False)
    deaths: int = 0


@frozen(kw_only=True, eq=False)
class Desk:
    """How units become tasks. memory: the most that a node has; data: what was put, by path."""

    task: Any
    caller: Caller
    memory: float
    data: dict[Path, Any] = field(factory=dict)

    def submit(self, unit: Unit) -> Any:
        """Return the reference to what will be the unit's answer."""
        work, task = unit.work, self.task
        for path in work.data:
            if path not in self.data:
                # As a plain array: its bytes go from the file into the store, and through no copy.
                values = np.load(path, mmap_mode="r", allow_pickle=False)
                self.data[path] = ray.put(np.asarray(values))
        if work.memory and self.memory:
            # No more than any node has, or it would wait for ever.
            task = task.options(memory=min(work.memory, int(self.memory)))
        return task.remote(*self.caller.arguments(work), *(self.data[path] for path in work.data))


def nodes() -> list[dict[str, float]]:
    """Return what each node that is alive has in all."""
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]


def task_of(options: RayOptions, function: Callable[..., object]) -> Any:
    """Return a Ray task that takes what the plan says; what is tried again is decided here."""
    needs = options.needs
    return ray.remote(num_cpus=needs["CPU"], num_gpus=needs["GPU"], max_retries=0)(function)


def share_out(connection: Connection, options: RayOptions, count: int) -> None:
    """Keep ``options.workers`` units at work until the caller has no more of them, or has gone."""
    desk = Desk(
        task=task_of(options, remote_function()),
        caller=caller(own=options.address is None),
        memory=max((node.get("memory", 0) for node in nodes()), default=0),
    )
    units = _given(connection, count)
    flight: dict[Any, Unit] = {}
    while True:
        while len(flight) < options.workers and (unit := next(units, None)):
            flight[desk.submit(unit)] = unit
        if not flight:
            connection.send(("end", None))
            return
        ready, _ = ray.wait(list(flight), timeout=1.0)
        if connection.poll():
            return
        for ref in ready:
            unit = flight.pop(ref)
            try:
                connection.send(("done", (unit.position, _result(ref, unit, desk))))
            except _LOST as error:
                again = _again(unit, error, options.retries)
                values = {"unit": unit.name, "cause": type(error).__name__}
                connection.send(("log", ("a worker died: its unit is tried again", values)))
                flight[desk.submit(again)] = again


def _given(connection: Connection, count: int) -> Iterator[Unit]:
    while True:
        connection.send(("more", None))
        given = connection.recv()
        if given is None:
            return
        position, work = given
        name = f"unit {position + 1} of {count} ({work.ref})"
        yield Unit(position=position, name=name, work=work)


def _result(ref: Any, unit: Unit, desk: Desk) -> object:
    """Return a unit's result, its arrays saved; raise what the unit raised."""
    try:
        answered, result = ray.get(ref)
    except exceptions.RayTaskError as error:  # what was returned cannot travel
        raise portable(error.cause) from None
    if answered is None:
        raise _mismatch(desk.caller.versions, result)
    if not answered:
        raise result
    return keep(unit.work, result)


def _again(unit: Unit, error: Exception, retries: int) -> Unit:
    """Return the unit to be tried once more, or raise where that was tried often enough."""
    deaths = unit.deaths + 1
    if deaths > retries:
        raise TrainingFailed(
            unit.name,
            found=f"its worker process died {deaths} times ({type(error).__name__})",
            fix="Out of memory is the usual cause: set fewer workers in [execution], "
            'or train smaller models. What its code prints is shown by executor = "local" '
            "with workers = 0.",
        ) from None
    return evolve(unit, deaths=deaths)


def _mismatch(wanted: dict[str, str], found: dict[str, str]) -> LeakProError:
    differing = sorted(name for name in wanted if found[name] != wanted[name])
    return BadValue(
        "[execution] address: a worker of the cluster",
        found=", ".join(f"{name} {found[name]}" for name in differing),
        expected=", ".join(f"{name} {wanted[name]}" for name in differing) + ", as here",
        fix="Install the same versions on every node.",
    )
