"""What a user's model does while it is traced: it raises, or is no function of its arrays alone.

A cohort's models all run by the program of the first, with arrays of their own. That is right only
if whatever differs between them is among the arrays, and if a trace is the same each time.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import jax
import jax.numpy as jnp

from leakpro_core.errors import LeakProError, NotAFactory, TrainingFailed
from leakpro_core.references import ImportPath
from leakpro_jax.models import Model, because

_PLAIN = (bool, int, float, complex, str, bytes, jax.tree_util.PyTreeDef)


@contextmanager
def training(numbers: Sequence[int]) -> Iterator[None]:
    """``TrainingFailed`` names the models and the place in the user's code where it raised."""
    try:
        yield
    except LeakProError:
        raise
    except Exception as error:  # it is the user's code
        memory = isinstance(error, jax.errors.JaxRuntimeError)
        raise TrainingFailed(
            f"model {numbers[0]}" if len(numbers) == 1 else f"models {numbers[0]} to {numbers[-1]}",
            found=because(error),
            expected="" if memory else "a model that can be trained",
            fix="Out of memory is the usual cause: set a smaller width in [shadows]."
            if memory
            else "An Equinox module is given a key for each record if its __call__ takes one.",
        ) from error


def check_alike(models: Sequence[Model], factory: ImportPath, shape: tuple[int, ...]) -> None:
    """``NotAFactory`` where models that take records of that shape differ by more than arrays.

    Programs are compared, not outputs: nothing is compiled, and no difference is too small.
    Models whose parts but arrays are equal are known to be alike without that.
    """
    others = [model for model in models[1:] if not _equal(model.fixed, models[0].fixed)]
    expected = _program(models[0], shape) if others else ""
    if any(_program(model, shape) != expected for model in others):
        raise NotAFactory(
            f"factory {factory.ref!r}",
            found="a model that depends on the key by more than its arrays",
            expected="all that is drawn from the key among the arrays",
            fix="Return a pair's arrays as parameters; make numbers of a module arrays.",
        )


def check_repeats(model: Model, shape: tuple[int, ...]) -> None:
    """``NotAFactory`` where a model draws random numbers that are not from a key of JAX."""
    if _program(model, shape) != _program(model, shape):
        raise NotAFactory(
            "the factory's model",
            found="it gives other outputs each time",
            expected="a pure function of its parameters, the records and the key",
            fix="Draw with jax.random: the module's __call__ takes a key.",
        )


def _program(model: Model, shape: tuple[int, ...]) -> str:
    """Return all that a model computes for records of that shape, trained and asked, as text."""
    arrays, records = jax.eval_shape(lambda: (model.arrays, jnp.zeros(shape)))

    def both(arrays: object, x: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        return model.apply(arrays, x, key), model.apply(arrays, x, None)

    return jax.jit(both).lower(arrays, records, jax.random.key(0)).as_text()


def _equal(some: Sequence[object], others: Sequence[object]) -> bool:
    """Return whether parts are certainly equal; what a user's class calls equal may not be."""
    return len(some) == len(others) and all(
        a is b or (type(a) is type(b) and isinstance(a, _PLAIN) and a == b)
        for a, b in zip(some, others, strict=True)
    )
