"""A client of PyTorch: what it sends for its records, and the global model afterwards."""

from collections.abc import Mapping

import numpy as np
import torch
from attrs import evolve, field, frozen
from leakpro_torch.modules import arithmetic, because, check_numbers, seeded, threads
from torch import Tensor, nn

from leakpro_core.arrays import AnyArray, Floats, Ints
from leakpro_core.errors import BadArray, LeakProError, TrainingFailed
from leakpro_core.records import Disclosed
from leakpro_fl import describe
from leakpro_fl.defences import defended, sent
from leakpro_fl.procedure import Steps, gradient, order, own, state_of, steps_of, trained

LR = 0.1
"""Of a client that did not disclose its own, where core needs an update of it."""

Arrays = Mapping[str, AnyArray]


@frozen(kw_only=True)
class TorchClient:
    """A client; Client, Native and Describing. What it did not disclose it does as PyTorch does.

    module: on the CPU, never changed; disclosed: what it does; groups: one-hot columns of tabular
    records; device: where it trains; threads: of one operation.
    """

    module: nn.Module = field(repr=False)
    disclosed: Disclosed
    groups: tuple[tuple[int, ...], ...] = ()
    device: str = "cpu"
    threads: int = 1

    def update(self, before: Arrays, records: AnyArray, labels: Ints, seed: int) -> Arrays:
        """Return what is sent for records ``[n, ...]`` and labels int64 ``[n]``.

        The records are split into ``disclosed.clients`` equal runs, the first ones longer by one
        where they do not divide; each client trains, defends its update and the mean is sent. A
        gradient goes by parameters alone, a delta or weights by buffers too. Parameters that do
        not require a gradient stay as they are, and have no gradient. float32, or float64 where
        that is disclosed; halves come as float32. ``BadArray``, ``TrainingFailed``.
        """
        with threads(self.threads), arithmetic("float32"):
            state = state_of(before, device=self.device)
            parts = np.array_split(np.arange(len(records)), self.disclosed.clients)
            changes = [
                self._sent_by(state, records[rows], labels[rows], [seed, number])
                for number, rows in enumerate(parts)
                if rows.size
            ]
            found = {
                name: self._as_sent(torch.stack([each[name] for each in changes]).mean(0), old)
                for name, old in state.items()
                if name in changes[0]
            }
        return {name: v.cpu().numpy() for name, v in found.items()}

    def after(self, before: Arrays, update: Arrays) -> Arrays:
        """Return the global model once a server has applied that update, in the dtypes of before.

        Of a gradient it takes one step of the learning rate that is disclosed, of 1 without one;
        buffers that come with a gradient replace those before.
        """
        kind, parameters = self.disclosed.kind, self._parameters()
        now = {}
        for name, old in before.items():
            new = np.asarray(old)
            if name in update and kind == "gradient" and name in parameters:
                new = old - (self.disclosed.lr or 1.0) * np.asarray(update[name], np.float64)
            elif name in update:
                new = np.asarray(update[name], np.float64) + (old if kind == "delta" else 0)
            if new.dtype != old.dtype:
                new = (new if old.dtype.kind == "f" else np.rint(new)).astype(old.dtype)
            now[name] = new
        return now

    def native(self) -> nn.Module:
        """Return the module itself."""
        return self.module

    def fidelity(self, records: AnyArray, guesses: AnyArray) -> Mapping[str, Floats]:
        """Return how near guesses ``[n, ...]`` come to records ``[n, ...]``; see ``describe``."""
        return describe.fidelity(records, guesses, self._form(records))

    def shown(self, record: AnyArray) -> bytes | str:
        """Return a record as a PNG image or as text; see ``describe``."""
        return describe.shown(record, self._form(record[None]))

    def _form(self, records: AnyArray) -> describe.Form:
        return describe.Form(
            mean=self.disclosed.mean,
            std=self.disclosed.std,
            groups=self.groups,
            text=takes_tokens(self.module) and records.dtype.kind in "iu",
        )

    def _parameters(self) -> set[str]:
        return {name for name, _ in self.module.named_parameters()}

    def _sent_by(
        self, state: Mapping[str, Tensor], records: AnyArray, labels: Ints, seed: list[int]
    ) -> dict[str, Tensor]:
        """Return one client's gradient or change, float64, defences included but for the dtype."""
        draws, noise, shuffle = (int(n) for n in np.random.SeedSequence(seed).generate_state(3))
        x, y = as_inputs(self.module, records).to(self.device), _labels(labels).to(self.device)
        names = [name for name, p in self.module.named_parameters() if p.requires_grad]
        try:
            with seeded(draws):
                found = self._trained(state, x, y, names, shuffle)
        except (LeakProError, torch.OutOfMemoryError):
            raise
        except Exception as error:
            raise BadArray(
                f"the client's model cannot be trained on records of shape {records.shape[1:]}",
                found=because(error),
                fix="Give the records in the shape that the model takes; batch norm in training "
                "mode needs steps of at least two records.",
            ) from error
        for name, values in found.items():
            if not bool(torch.isfinite(values).all()):
                raise TrainingFailed(
                    "the client's local training",
                    found=f"NaN or an infinite value in its update of {name}",
                    expected="training that does not diverge",
                    fix="Lower the learning rate, or look for NaN in the records.",
                )
        rng = torch.Generator().manual_seed(noise)
        ours = defended({name: found[name] for name in names}, self.disclosed, rng)
        return {**found, **ours}

    def _as_sent(self, mean: Tensor, old: Tensor) -> Tensor:
        """Return a mean gradient or change as what is sent of the tensor that was ``old``."""
        whole = mean if self.disclosed.kind != "weights" else old.double() + mean
        if not old.is_floating_point():
            whole = whole.round()
            return whole.to(torch.int64 if self.disclosed.kind == "delta" else old.dtype)
        double = self.disclosed.dtype == "float64"
        return sent(whole if double else whole.float(), self.disclosed.dtype)

    def _trained(
        self, state: Mapping[str, Tensor], x: Tensor, y: Tensor, names: list[str], seed: int
    ) -> dict[str, Tensor]:
        module = own(self.module, train=self.disclosed.mode != "eval").to(self.device)
        if self.disclosed.kind == "gradient":
            reduction = self.disclosed.reduction or "mean"
            now = {name: value.clone() for name, value in state.items()}
            found = gradient(module, now, x, y, names, reduction=reduction)
            return {name: value.double() for name, value in found.items()}
        how = steps_of(self.disclosed) or self._assumed()
        rows = order(len(x), how, seed if self.disclosed.shuffled else None)
        after = trained(module, state, x, y, names, how, rows)
        # In float64, so that the weights before and the change make the weights after, exactly.
        return {name: after[name].double() - before.double() for name, before in state.items()}

    def _assumed(self) -> Steps:
        how = steps_of(evolve(self.disclosed, lr=LR))
        assert how is not None
        return how


def takes_tokens(module: nn.Module) -> bool:
    """Whether integers that the module is given are numbers of an embedding."""
    return any(isinstance(each, nn.Embedding | nn.EmbeddingBag) for each in module.modules())


def as_inputs(module: nn.Module, records: AnyArray) -> Tensor:
    """Return records as the module takes them: int64 tokens of an embedding, otherwise float32."""
    check_numbers(records)
    tokens = records.dtype.kind in "iu" and takes_tokens(module)
    return torch.from_numpy(records.astype(np.int64 if tokens else np.float32))


def arrays_of(module: nn.Module) -> dict[str, AnyArray]:
    """Return copies of a module's parameters and buffers by name, in its order.

    A tensor that has two names goes by the first, as among ``named_parameters``. Halves come as
    float32.
    """
    first = {name for name, _ in module.named_parameters()}
    first |= {name for name, _ in module.named_buffers()}
    found = {}
    for name, value in module.state_dict().items():
        if name in first and isinstance(value, Tensor):
            half = value.dtype in (torch.float16, torch.bfloat16)
            found[name] = (value.float() if half else value).detach().cpu().numpy().copy()
    return found


def buffers_of(module: nn.Module) -> tuple[str, ...]:
    """Return the names in ``arrays_of`` that are no parameters, in its order."""
    parameters = {name for name, _ in module.named_parameters()}
    return tuple(name for name in arrays_of(module) if name not in parameters)


def _labels(labels: Ints) -> Tensor:
    return torch.from_numpy(np.array(labels, dtype=np.int64))
