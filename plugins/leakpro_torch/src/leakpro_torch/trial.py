"""A short timed trial: how models are trained fastest on this machine."""

import time
from collections.abc import Callable, Iterator

import torch
from attrs import evolve, field, frozen

from leakpro_core.errors import LeakProError, TrainingFailed
from leakpro_core.protocols import Run
from leakpro_core.recipes import Recipe, batches
from leakpro_core.records import Choice, TrainingSet, TrainingUnit, Trial
from leakpro_core.references import ImportPath
from leakpro_torch.agreement import check_stack
from leakpro_torch.fitting import Pupil, Task, steps
from leakpro_torch.layout import laid_out, placed
from leakpro_torch.learners import One, Unstackable
from leakpro_torch.memory import per_model, room
from leakpro_torch.modules import (
    arithmetic,
    because,
    build,
    check_device,
    check_repeats,
    seeded,
    threads,
)
from leakpro_torch.options import TrainerOptions
from leakpro_torch.trainer import (
    factory_of,
    learner_of,
    options_of,
    pupils_of,
    stack_of,
    task_of,
    unstackable,
)

_LOOP = 4
"""Models of a unit in a loop: a unit that is killed loses little, one that starts costs little."""

_BUDGET = 2.0
"""Seconds that stacks may take to build and warm up, and then all measurements, about."""

_STEP = 0.1
"""Seconds of a model's step; where it takes longer, smaller batches are timed."""

_ROUNDS, _SLICE = 5, 0.004
"""Measurements of each contestant, of which the least counts, and the seconds of one at least."""

_EACH = 8
"""Steps that a contestant takes in all, about, where one is longer than a measurement."""

_WORTH = 0.95
"""A stack is chosen where it takes at most this share of a loop's time, and a narrower stack where
it takes less than this share of a wider one's."""

_HOPELESS = 1.2
"""No wider stack is tried after one of more than two models that takes so much of a loop's time."""


@frozen(kw_only=True)
class _Contestant:
    """A training under way of ``width`` models, by a method; and how fast it was."""

    method: str
    width: int
    training: Iterator[None]
    paces: list[float] = field(factory=list)

    @property
    def pace(self) -> float:
        """Seconds of a step of one model, at its best: what else the machine does only adds."""
        return min(self.paces)


@frozen(kw_only=True)
class _Course:
    """What contestants run on. own, beside: bytes of a model's parameters, and of its training."""

    factory: ImportPath
    task: Task
    pupils: list[Pupil]
    clock: Callable[[], float]
    own: int = 0
    beside: int = 0

    def memory(self, method: str, width: int) -> int:
        """Return the bytes that a unit takes; a loop trains one after another and keeps all."""
        return width * self.own + self.beside * (width if method == "stack" else 1)


def trial(data: TrainingSet, unit: TrainingUnit, run: Run) -> Trial:
    """Choose how the unit's models are trained, by a few steps of each way.

    Options that are forced are kept, and measured all the same. A train function of the user's is
    called in a loop and not timed.
    """
    options, factory = options_of(unit), factory_of(unit)
    check_device(options.device, "[shadows] device")
    choice = Choice(
        method="loop",
        width=options.width or min(_LOOP, len(unit.models)),
        device=options.device,
        dtype=options.precision,
        threads=options.threads,
    )
    if options.train is not None:
        return Trial(choice=choice)
    recipe = options.recipe or Recipe()
    task = task_of(data, recipe, choice)
    try:
        with threads(choice.threads), arithmetic(choice.dtype):
            course = _course(factory, task, unit, choice)
            winner, notes = _race(course, options)
    except LeakProError:
        raise
    except Exception as error:
        raise TrainingFailed(f"model {unit.models[0]}", found=because(error)) from error
    if winner.method == "stack":
        choice = evolve(choice, method="stack", width=options.width or winner.width)
    size = course.task.recipe.batch_size
    count = sum(stop - start for start, stop in batches(len(course.pupils[0].rows), size)) / size
    run.log.info("tried out", method=choice.method, width=choice.width, batch_size=size)
    return Trial(
        choice=choice,
        seconds=winner.pace * recipe.epochs * count,
        memory=course.memory(choice.method, choice.width),
        notes=notes,
    )


def _course(factory: ImportPath, task: Task, unit: TrainingUnit, choice: Choice) -> _Course:
    """Return models and batches to measure on: of equally many rows, smaller if steps are long.

    What is wrong with factory, recipe or records is raised here as in training.
    """
    pupils = pupils_of(unit)
    rows = min(len(p.rows) for p in pupils)
    pupils = [evolve(p, rows=p.rows[:rows]) for p in pupils]
    wanted = min(task.recipe.batch_size, rows)
    size = min(wanted, 4)
    clock = _clock(choice)
    task = laid_out(factory, task, pupils[0])
    course = _Course(factory=factory, task=_in_batches(task, size), pupils=pupils, clock=clock)
    training = _loop(course).training
    next(training)  # the first is slower
    longest = max(size, int(size * _STEP / max(_timed(clock, training, 1), 1e-6)))
    one = _one(course)
    own, beside = per_model(one, course.task, pupils[0], wanted)
    _check_answers(one, course.task, pupils[0])
    task = _in_batches(task, min(wanted, longest))
    return evolve(course, task=task, own=own, beside=beside)


def _check_answers(one: One, task: Task, pupil: Pupil) -> None:
    rows = torch.from_numpy(pupil.rows[: task.recipe.batch_size]).to(task.device)
    with seeded(pupil.seed), torch.no_grad():
        check_repeats(one.module.eval(), task.records[rows].float())


def _in_batches(task: Task, size: int) -> Task:
    # So many epochs that no trial comes to their end; a diverging model is as fast as any.
    recipe = evolve(task.recipe, batch_size=size, epochs=10**6)
    return evolve(task, recipe=recipe, watched=False)


def _clock(choice: Choice) -> Callable[[], float]:
    if choice.device == "cpu" and choice.threads == 1:
        return time.thread_time  # what else this machine does is not counted
    if not choice.device.startswith("cuda"):
        return time.perf_counter

    def now() -> float:
        torch.cuda.synchronize(choice.device)
        return time.perf_counter()

    return now


def _timed(clock: Callable[[], float], training: Iterator[None], count: int) -> float:
    started = clock()
    for _ in range(count):
        next(training)
    return clock() - started


def _race(course: _Course, options: TrainerOptions) -> tuple[_Contestant, tuple[str, ...]]:
    """Return the fastest that the options allow, and notes on what was not possible."""
    loop = _loop(course)
    _warm(course, loop)
    stacks: list[_Contestant] = []
    notes: tuple[str, ...] = ()
    if options.method == "stack" or (options.method == "auto" and len(course.pupils) > 1):
        try:
            check_stack(course.factory, course.task, course.pupils[:2])
            stacks = list(_stacks(course, options, loop))
        except Unstackable as error:
            if options.method == "stack":
                raise unstackable(course.pupils, error) from error
            notes = (f"Models cannot be trained as a stack: {error}.",)
    started, rounds = course.clock(), 0
    while rounds < _ROUNDS and course.clock() - started < _BUDGET:
        rounds += 1
        for each in (loop, *stacks):
            _measure(course, each)
    return _winner(loop, stacks, options.method), notes


def _winner(loop: _Contestant, stacks: list[_Contestant], method: str) -> _Contestant:
    if not stacks:
        return loop
    best = min(stack.pace for stack in stacks)
    if method == "auto" and best > _WORTH * loop.pace:
        return loop
    return max((s for s in stacks if _WORTH * s.pace <= best), key=lambda s: s.width)


def _stacks(course: _Course, options: TrainerOptions, loop: _Contestant) -> Iterator[_Contestant]:
    """Yield warm stacks, ever wider, while they fit into memory and time and may still win."""
    most = len(course.pupils)
    spent, last = 0.0, None
    for width in [min(options.width, most)] if options.width else _widths(most):
        if last is not None:
            slower = last.pace > _HOPELESS * loop.pace and last.width > 2
            expected = 2 * _EACH * last.pace * last.width
            if slower or spent + expected > _BUDGET:
                return
            if course.memory("stack", width) > room(course.task.device):
                return
        started = course.clock()
        try:
            many = stack_of(course.factory, course.task, course.pupils[:width])
            stack = _Contestant(
                method="stack",
                width=width,
                training=steps(learner_of(many, course.task), course.task, course.pupils[:width]),
            )
            _warm(course, stack)
        except torch.OutOfMemoryError:
            if last is None:
                raise
            torch.cuda.empty_cache()
            return
        except (LeakProError, Unstackable):
            raise
        except Exception as error:  # in a backward pass, say; a loop came through
            raise Unstackable(f"stacked, it raises {because(error)}") from error
        spent += course.clock() - started + _EACH * stack.pace * width
        last = stack
        yield stack


def _widths(most: int) -> list[int]:
    """Return widths to try, in rising order: the largest unit, its half, and so on."""
    found = {most}
    while min(found) > 3:
        found.add(-(-min(found) // 2))
    return sorted(found)


def _loop(course: _Course) -> _Contestant:
    one, pupil = _one(course), course.pupils[0]
    return _Contestant(method="loop", width=1, training=steps(one, course.task, [pupil]))


def _one(course: _Course) -> One:
    return _built(course.factory, course.task, course.pupils[0])


def _built(factory: ImportPath, task: Task, pupil: Pupil) -> One:
    with seeded(pupil.seed):
        return One(module=placed(build(factory), task).train())


def _warm(course: _Course, each: _Contestant) -> None:
    next(each.training)
    each.paces.append(_timed(course.clock, each.training, 1) / each.width)


def _measure(course: _Course, each: _Contestant) -> None:
    count = min(10, max(1, round(_SLICE / max(each.pace * each.width, 1e-6))))
    each.paces.append(_timed(course.clock, each.training, count) / count / each.width)
