"""Loader "jax": a JAX model as the target of an audit."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
from attrs import evolve, field, frozen

from leakpro_core.arrays import AnyArray, Singles
from leakpro_core.errors import MissingFile
from leakpro_core.protocols import Log, Run
from leakpro_core.records import Release, Target
from leakpro_jax.machine import settled
from leakpro_jax.models import Arrays, Model, build, check, check_numbers, in_batches, named
from leakpro_jax.options import LoaderOptions
from leakpro_jax.tracing import check_repeats
from leakpro_jax.weights import fit, read


@frozen(kw_only=True, eq=False)
class JaxModel:
    """A model that is asked, not trained; Queryable, Weights and Native."""

    model: Model
    options: LoaderOptions
    log: Log = field(repr=False)
    answers: Callable[[Arrays, jax.Array], jax.Array] = field(repr=False)

    def query(self, records: AnyArray) -> Singles:
        """Return the model's outputs on ``records`` ``[n, ...]``, float32 ``[n, classes]``."""
        check_numbers(records)
        with settled(self.options.device, self.options.threads, self.log, "[target]"):
            check(self.model, records.shape)
            return in_batches(
                lambda batch: self.answers(self.model.arrays, batch),
                records,
                self.options.batch_size,
            )

    def parameters(self) -> Mapping[str, AnyArray]:
        """Return copies of the model's arrays, by path."""
        return named(self.model.arrays)

    def native(self) -> object:
        """Return what the factory returns, with these weights; an Equinox module for inference."""
        return self.model.native(self.model.arrays)


def load(options: LoaderOptions, run: Run) -> Release:
    """Return the model of ``options``; its identity is the SHA-256 of the weights file.

    ``UnsafeFile``, ``NotAFactory``, ``BadArray`` (weights that do not fit), ``MissingFile``.
    """
    content, name = _content(options.weights), options.weights.name
    with settled(options.device, options.threads, run.log, "[target]"):
        built = build(options.factory, jax.random.key(run.seed))
        arrays = fit(built.arrays, read(content, name), name, options.factory.ref)
    model = evolve(built, arrays=arrays)

    def answers(arrays: Arrays, batch: jax.Array) -> jax.Array:
        check_repeats(model, batch.shape)  # once, when it is compiled: what is drawn then is kept
        return model.apply(arrays, batch, None)

    target = Target(
        kind="model",
        identity=hashlib.sha256(content).hexdigest(),
        handle=JaxModel(
            model=model,
            options=options,
            log=run.log,
            answers=jax.jit(answers),
        ),
        outputs=options.outputs,
        description=f"JAX model {options.factory.ref} from {name}",
        # Shadows are trained on logits: a factory whose model ends in a softmax is not theirs.
        architecture=options.factory if options.outputs == "logits" else None,
        parameters=sum(values.size for values in jax.tree.leaves(arrays)),
    )
    return Release(target=target)


def _content(path: Path) -> bytes:
    # Read once: what is hashed is what is loaded.
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingFile(f"weights {path}", found=error.strerror or str(error)) from error
