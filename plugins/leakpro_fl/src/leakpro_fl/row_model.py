"""The model of an update of rows, and what its gradient is compared by."""

from collections.abc import Mapping

from attrs import field, frozen
from torch import Tensor, nn

from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_fl.procedure import State, gradient, own, state_of
from leakpro_fl.rows import Layer, layers_of
from leakpro_fl.seen import Seen


@frozen(kw_only=True)
class RowModel:
    """The model and the names that its gradient is compared by. See ``mixtures.Model``."""

    module: nn.Module = field(repr=False)
    state: State = field(repr=False)
    names: tuple[str, ...]
    update: Mapping[str, Tensor] = field(repr=False)
    classes: int
    scaled: bool

    @property
    def sparse(self) -> None:
        return None

    def gradient(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """Return the gradient of the mean loss of a batch."""
        return gradient(self.module, self.state, x, y, self.names)


def model_of(challenge: InversionChallenge, observed: Seen, *, train: bool) -> RowModel:
    """Return the model as the client has it, where several steps were taken half-way through them.

    train: whether normalisation is by the batch. Dropout is left out.
    """
    module = own(challenge.model, train=train)
    for part in module.modules():
        if isinstance(part, nn.modules.dropout._DropoutNd):
            part.eval()  # what it drew is not known
    there = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    names = tuple(n for n, _ in module.named_parameters() if n in observed.gradient)
    state = {k: v for k, v in state_of(challenge.before).items() if k in there}
    if not observed.single and challenge.disclosed.kind != "gradient":
        # Gradients were taken along the way: those half-way are the most like their mean.
        sent = state_of({name: challenge.update[name] for name in names})
        ends = challenge.disclosed.kind == "weights"
        state |= {n: 0.5 * (state[n] + v) if ends else state[n] + 0.5 * v for n, v in sent.items()}
    return RowModel(
        module=module,
        state=state,
        names=names,
        update={name: observed.gradient[name] for name in names},
        classes=challenge.classes,
        scaled=observed.scaled and challenge.disclosed.clip is None,
    )


def layers_given(challenge: InversionChallenge, model: RowModel, seed: int) -> tuple[Layer, ...]:
    """Return the linear layers that are given columns of the rows, of which gradients were sent."""
    quiet = own(challenge.model, train=False)
    found = layers_of(quiet, model.state, challenge.shape[0], seed)
    return tuple(layer for layer in found if layer.weight in model.names)


def normalised(module: nn.Module) -> bool:
    """Whether a row's gradient depends on the other rows in training mode."""
    return any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules())
