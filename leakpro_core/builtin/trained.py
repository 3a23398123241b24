"""The trained loader: core draws the members and trains the targets as it trains the shadows."""

from attrs import field, frozen, validators

from leakpro_core.protocols import Run
from leakpro_core.records import Release


@frozen(kw_only=True)
class TrainedOptions:
    """The ``[target]`` table with ``loader = "trained"``.

    targets: how many targets are trained and audited; their results are averaged.
    """

    targets: int = field(default=1, validator=validators.ge(1))


def load(options: TrainedOptions, run: Run) -> Release:
    """Return a release without a target: the records are those of ``[data]``."""
    return Release(target=None, targets=options.targets)
