"""The client's side: a mod that records what leaves, and changes nothing of it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from flwr.app import Context, Message
from flwr.clientapp.typing import ClientAppCallable, Mod
from numpy.typing import ArrayLike

from leakpro_fl.flower.files import (
    next_round,
    round_folder,
    write_arrays,
    write_known,
    write_npz,
    write_plan,
)
from leakpro_fl.flower.messages import arrays_of, known_of, round_of, trains, values_of, warn
from leakpro_fl.flower.recording import Recording

Batch = Callable[[Context], tuple[ArrayLike, ArrayLike]]
"""From a client's context to the records ``[n, ...]`` and labels ``[n]`` that it trains on."""


def recording_mod(recording: Recording, *, batch: Batch | None = None) -> Mod:
    """Return a mod that writes what the server sent and what this client answers.

    Flower calls mods in their order, so the first of the list is the last to see the reply: put
    this one first, ``mods=[recording_mod(...), LocalDpMod(...)]``, and it records what leaves after
    all others, noise included. Each node of each run has a folder of its own,
    ``recording.folder / "run-RUN-node-NODE"``, with the same files as a server's recording.

    batch: called once a node; what it returns is written to ``batch.npz`` there, so that the audit
    can judge. That file holds the client's records as they are: it must not leave the client.
    Whatever goes wrong is a warning in Flower's log: a training never ends by it.
    """

    def mod(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
        if not trains(message):
            return call_next(message, context)
        begun = _begin(recording, message, context)
        reply = call_next(message, context)
        if begun is not None and not reply.has_error():
            _finish(recording, begun, message, reply, context, batch)
        return reply

    return mod


def _begin(recording: Recording, message: Message, context: Context) -> int | None:
    """Write the model that the server sent, before training may consume it; return the round."""
    number = None
    try:
        folder = _folder(recording, message, context)
        number = round_of(message) or next_round(folder)
        if not recording.keeps(number):
            return None
        sent = arrays_of(message, recording.arrays)
        if sent is None:
            raise ValueError("the message to it has no array record, or several")
        write_arrays(round_folder(folder, number) / "before", values_of(sent))
    except Exception as error:  # whatever it is, the training goes on
        warn(context.node_id, number, error)
        return None
    return number


def _finish(
    recording: Recording,
    number: int,
    message: Message,
    reply: Message,
    context: Context,
    batch: Batch | None,
) -> None:
    node = context.node_id
    try:
        folder = _folder(recording, message, context)
        answered = arrays_of(reply, recording.arrays)
        if answered is None:
            raise ValueError("its reply has no array record, or several")
        values, at = values_of(answered), round_folder(folder, number)
        write_arrays(at / f"client-{node}", values)
        write_known(at / f"client-{node}.json", known_of(message, reply, values.values()))
        if batch is not None and not (folder / "batch.npz").exists():
            x, y = batch(context)
            write_npz(folder / "batch.npz", x=np.asarray(x), y=np.asarray(y))
        write_plan(recording, folder, node)
    except Exception as error:  # whatever it is, the training goes on
        warn(node, number, error)


def _folder(recording: Recording, message: Message, context: Context) -> Path:
    return recording.folder / f"run-{message.metadata.run_id}-node-{context.node_id}"
