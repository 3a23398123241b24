"""Trainer "sdv": shadow generators, SDV synthesizers fitted on halves of the people."""

from collections.abc import Mapping

import numpy as np
from attrs import frozen

from leakpro_core.arrays import AnyArray, Floats, Ints, array
from leakpro_core.errors import NotApplicable
from leakpro_core.protocols import Run
from leakpro_core.records import Fitting, TrainingSet, TrainingUnit
from leakpro_core.tabular.table import from_matrix
from leakpro_sdv.fitting import fit
from leakpro_sdv.recipe import GeneratorOptions

__all__ = ["GeneratorOptions", "Generators", "train"]


@frozen(kw_only=True)
class Generators:
    """A cohort of generators: what is kept of them is the rows that they released.

    released: float64 ``[models, rows, columns]``, as ``Table.matrix``; owners: int64
    ``[models, rows]``, whose row it is within the release: the number of the row, or of the
    sequence or parent.
    """

    released: Floats = array(np.float64)
    owners: Ints = array(np.int64)

    def parameters(self) -> Mapping[str, AnyArray]:
        """Return both arrays by name."""
        return {"released": self.released, "owners": self.owners}

    def query(self, records: AnyArray) -> AnyArray:
        """Raise ``NotApplicable``: a generator gives rows, and answers nothing about others."""
        raise NotApplicable(
            "queries of generators of tables",
            found="a request for outputs",
            expected="attacks on released rows",
        )


def train(data: TrainingSet, unit: TrainingUnit, run: Run) -> Generators:
    """Fit a synthesizer on each model's rows and let it release as many rows as the unit says.

    data.records: ``Table.matrix()`` of all people; unit.options: a ``Fitting``. A release depends
    on the model's rows and seed alone. ``ReferenceNotFound`` without SDV 2.x, ``TrainingFailed``
    where SDV fails, errors of the plan's ``[shadows]`` as of ``recipe.untrained``.
    """
    fitting = unit.options
    assert isinstance(fitting, Fitting)
    options = fitting.options
    assert isinstance(options, GeneratorOptions)
    shape = (len(unit.models), fitting.rows, len(fitting.columns))
    released = np.empty(shape)
    owners = np.empty(shape[:2], np.int64)
    for i, (model, rows, seed) in enumerate(zip(unit.models, unit.rows, unit.seeds, strict=True)):
        table = from_matrix(fitting.columns, data.records[rows], fitting.subjects[rows])
        threads = unit.choice.threads
        generator = fit(
            options, table, seed, at="[shadows]", what=f"generator {model}", threads=threads
        )
        sampled = generator.sample(fitting.rows, seed, threads)
        released[i], owners[i] = sampled.matrix(), sampled.subjects
        run.log.debug("generator fitted", model=model, rows=len(rows))
    return Generators(released=released, owners=owners)
