"""Texts from the update of a transformer: exact, by the spans of its gradients.

Petrov et al. 2024 (DAGER). Tokens come from the rows of the embedding's gradient that are not 0,
positions and sequences from the spans of projections, the batch and its labels by least squares.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np
import torch
from attrs import field, frozen, validators
from leakpro_torch.modules import threads
from torch import Tensor

from leakpro_core.arrays import Bools
from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionAnswer, InversionChallenge
from leakpro_core.protocols import Run
from leakpro_fl.alternatives import least_effects
from leakpro_fl.clues import Clues, Reader, clues
from leakpro_fl.mixtures import Batch, explained
from leakpro_fl.procedure import own, state_of
from leakpro_fl.seen import Seen, seen
from leakpro_fl.sequences import candidates, places
from leakpro_fl.transformer_span import table_of, unfused


@frozen(kw_only=True)
class EmbeddingsOptions:
    """``[attack.options]`` of "embeddings".

    layers: of how many weights behind attentions the spans are tried until the gradient is that
    of the sequences found. alternatives: other batches that a certificate needs to be tried, for
    each of their kinds.
    """

    layers: int = field(default=3, validator=validators.ge(1))
    alternatives: int = field(default=48, validator=validators.ge(1))


TOLERANCE = {"float16": 1e-3, "bfloat16": 8e-3}
"""Largest residual of a certificate, by the numbers that were sent; else ``1e-4``."""

_UNIQUE = 10.0
"""By what the gradient of another batch must be farther than that of the one certified."""


def attack(challenge: InversionChallenge, options: EmbeddingsOptions, run: Run) -> InversionAnswer:
    """Return the sequences of tokens of a batch, their labels, and which are certain.

    Certified is what reproduces the update up to rounding while no other text that is tried does:
    a token exchanged for the most similar one, neighbours swapped, tokens or labels exchanged with
    another text. Only where the update is one step.
    ``NotApplicable`` where the model has no embedding of tokens, or the batch has as many tokens as
    the first projection has inputs, so that its gradient spans everything.
    """
    with threads(1), unfused():
        found = seen(challenge)
        task = _task(challenge, found)
        spans = clues(task.reader, task.update, task.most, _padding(task), run.seed)
        batch = _batch(challenge, task, spans, options, run.seed)
        tolerance = TOLERANCE.get(challenge.disclosed.dtype or "", 1e-4)
        sure = np.zeros(len(batch.records), dtype=bool)
        if found.single and batch.residual < tolerance:
            effect = least_effects(
                task.reader,
                batch,
                task.update,
                partial(_alike, task),
                [[position] for position in range(task.reader.length)],
                most=options.alternatives,
                scaled=task.scaled,
                seed=run.seed,
            )
            sure = effect > max(tolerance, _UNIQUE * batch.residual) + batch.residual
    return InversionAnswer(
        records=batch.records.numpy(),
        labels=batch.labels.numpy(),
        claims=sure - np.log(batch.residual + 1e-12),
        certified=sure,
        residual=batch.residual,
        notes=_notes(found, batch, tolerance, sure),
    )


@frozen(kw_only=True)
class _Task:
    """The model, the update, and what is known of the batch. tokens: those that may be in it."""

    reader: Reader
    update: Mapping[str, Tensor] = field(repr=False)
    tokens: Tensor
    padding: int | None
    examples: int | None
    scaled: bool

    @property
    def most(self) -> int | None:
        return None if self.examples is None else self.examples * self.reader.length


def _task(challenge: InversionChallenge, found: Seen) -> _Task:
    if len(challenge.shape) != 1:
        raise NotApplicable(
            "the attack on embeddings",
            found=f"records of shape {list(challenge.shape)}",
            expected="sequences of tokens",
        )
    module = own(challenge.model, train=False)
    there = {name for name, _ in (*module.named_parameters(), *module.named_buffers())}
    state = {k: v for k, v in state_of(challenge.before).items() if k in there}
    [length] = challenge.shape
    table, vocabulary, padding = table_of(module, state, length)
    names = tuple(n for n, _ in module.named_parameters() if n in found.gradient)
    if table not in names:
        raise NotApplicable(
            "the attack on embeddings", found=f"an update without {table}", expected="its gradient"
        )
    examples = challenge.disclosed.examples
    if examples is None and challenge.labels is not None:
        examples = len(challenge.labels)
    tokens = _tokens(found.gradient[table])
    return _Task(
        reader=Reader(
            module=module,
            state=state,
            names=names,
            table=table,
            vocabulary=vocabulary,
            length=length,
            classes=challenge.classes,
        ),
        update={name: found.gradient[name] for name in names},
        tokens=tokens,
        padding=padding,
        examples=examples,
        scaled=found.scaled and challenge.disclosed.clip is None,
    )


def _tokens(rows: Tensor) -> Tensor:
    """Return the tokens whose rows of the embedding's gradient are not 0, int64, in order.

    With noise no row is 0: then those before the widest gap of lengths, where there is one.
    """
    lengths = rows.norm(dim=1)
    there = lengths > 0
    if bool(there.all()) and len(lengths) > 1:
        ordered = lengths.sort(descending=True).values
        gaps = (ordered[:-1] / ordered[1:]).log()
        widest = int(gaps[: len(gaps) // 2 + 1].argmax())
        if float(gaps[widest]) > _GAP:
            there = lengths >= ordered[widest]
    found: Tensor = there.nonzero()[:, 0]
    return found


_GAP = 1.0
"""Logarithm of the ratio of lengths of rows that are in the batch and rows of noise."""


def _padding(task: _Task) -> int:
    """Return the token that may end sequences: declared, else 0."""
    return 0 if task.padding is None else task.padding


def _batch(
    challenge: InversionChallenge,
    task: _Task,
    spans: Clues,
    options: EmbeddingsOptions,
    seed: int,
) -> Batch:
    """Return the batch that explains the update best, of sequences that the spans allow."""
    reader, first = task.reader, spans.first
    if first is None or not bool(first.visible.any()):
        raise NotApplicable(
            "the attack on embeddings",
            found="no projection of tokens whose gradient spans a part of its inputs only",
            expected="fewer tokens in a batch than the model is wide, and a gradient of all tokens",
        )
    known = task.tokens
    if spans.padding is None and task.padding is not None:
        # Its row is kept at 0, and yet its vectors count.
        known = torch.unique(torch.cat([known, torch.tensor([task.padding])]))
    there = places(reader, spans, known)
    rank = len(first.span.basis)
    least = -(-rank // reader.length)
    most = 8 * (task.examples or least) + 8
    allowed = _alone(reader, there, spans.padding)
    best: Batch | None = None
    for clue in spans.later[: options.layers] if allowed is None else ():
        here = candidates(reader, clue, there, spans.padding, most, seed, task.examples).tokens
        allowed = here if allowed is None else torch.unique(torch.cat([allowed, here]), dim=0)
        best = _explained(challenge, task, allowed, least, seed)
        if best.residual < _ENOUGH:
            return best
    if allowed is None:
        raise NotApplicable(
            "the attack on embeddings",
            found="no weight behind an attention whose gradient tells sequences apart",
            expected="a layer after the first attention, narrower spans than its width",
        )
    return best or _explained(challenge, task, allowed, least, seed)


_ENOUGH = 1e-3
"""Residual at which no other layer is asked."""


def _alone(reader: Reader, there: list[Tensor], padding: int | None) -> Tensor | None:
    """Return the sequence ``[1, length]`` where there is only one, or None."""
    if any(len(here) > 1 for here in there) or not len(there[0]):
        return None
    row = [int(here[0]) if len(here) else padding or 0 for here in there]
    return torch.tensor([row])


def _explained(
    challenge: InversionChallenge, task: _Task, tokens: Tensor, least: int, seed: int
) -> Batch:
    return explained(
        task.reader,
        tokens,
        task.update,
        labels=challenge.labels,
        examples=task.examples,
        least=least,
        scaled=task.scaled,
        seed=seed,
    )


def _alike(task: _Task, tokens: Tensor) -> Iterator[Tensor]:
    """Yield texts that differ in one token, the most similar one, or in two that are swapped."""
    table = task.reader.state[task.reader.table]
    others = task.tokens if len(task.tokens) > 1 else torch.arange(task.reader.vocabulary)
    distances = torch.cdist(table[tokens], table[others])
    distances[tokens[:, None] == others] = torch.inf
    for position, nearest in enumerate(others[distances.argmin(1)]):
        changed = tokens.clone()
        changed[position] = nearest
        yield changed
    for position in range(1, len(tokens)):
        if tokens[position] != tokens[position - 1]:
            changed = tokens.clone()
            changed[[position - 1, position]] = tokens[[position, position - 1]]
            yield changed


def _notes(found: Seen, batch: Batch, tolerance: float, sure: Bools) -> tuple[str, ...]:
    """Return why records are not certified."""
    if sure.all():
        return ()
    if not found.single:
        return ("No text is certified: the update is not known to be one step.",)
    if not batch.residual < tolerance:
        return (
            f"No text is certified: their gradient is {batch.residual:.1e} from the update, "
            f"more than the {tolerance:g} of rounding.",
        )
    return (
        f"{int((~sure).sum())} of {len(sure)} texts are not certified: others, as like them as "
        "can be, give nearly the same update.",
    )
