"""What Flower's messages say of an update."""

import logging
import math
from collections.abc import Iterable, Mapping

from flwr.app import ArrayRecord, Message, MessageType

from leakpro_core.arrays import AnyArray

_EXAMPLES = ("num-examples", "num_examples")
"""By which a reply says how many records it trained on; the latter in Flower's older clients."""

_OF_CONFIG = {"lr": "lr", "clipping_norm": "clip"}
"""What a server tells clients in the config that it sends, and what ``Disclosed`` calls it."""

_DTYPES = ("float16", "bfloat16", "float32", "float64")


def trains(message: Message) -> bool:
    """Whether the message asks to train; actions of one's own ("train.mine") included."""
    return message.metadata.message_type.partition(".")[0] == MessageType.TRAIN


def arrays_of(message: Message, key: str | None) -> ArrayRecord | None:
    """Return the record that holds the model; None where there is none, or several and no key."""
    if not message.has_content():
        return None
    records = message.content.array_records
    if key is not None:
        return records.get(key)
    return next(iter(records.values())) if len(records) == 1 else records.get("arrays")


def values_of(record: ArrayRecord) -> dict[str, AnyArray]:
    """Return the arrays by name, in the record's order."""
    return {name: array.numpy() for name, array in record.items()}


def round_of(message: Message) -> int | None:
    """Return the round that the server says it is, from 1; None where it does not say."""
    for config in message.content.config_records.values():
        said = config.get("server-round")
        if isinstance(said, int) and said > 0:
            return said
    group = message.metadata.group_id
    return int(group) if group.isascii() and group.isdigit() and int(group) > 0 else None


def known_of(message: Message, reply: Message, values: Iterable[AnyArray]) -> dict[str, object]:
    """Return what message and reply say of an update, by the names of ``Disclosed``."""
    known: dict[str, object] = {}
    for metrics in reply.content.metric_records.values():
        for name in _EXAMPLES:
            said = _number(metrics, name)
            if said is not None and said == int(said):
                known.setdefault("examples", int(said))
    for config in message.content.config_records.values():
        for name, field in _OF_CONFIG.items():
            said = _number(config, name)
            if said is not None:
                known.setdefault(field, said)
    # Not of single numbers: batch norm's counters become float64 where a server averages them.
    dtypes = {str(array.dtype) for array in values if array.dtype.kind == "f" and array.ndim}
    if len(dtypes) == 1 and dtypes <= set(_DTYPES):
        known["dtype"] = dtypes.pop()
    return known


def warn(node: int, number: int | None, reason: object) -> None:
    """Say, in Flower's own log, that nothing was recorded; a training never ends by it."""
    at = "" if number is None else f" in round {number}"
    logging.getLogger("flwr").warning("LeakPro recorded nothing of node %d%s: %s", node, at, reason)


def _number(record: Mapping[str, object], name: str) -> float | None:
    said = record.get(name)
    if isinstance(said, int | float) and math.isfinite(said) and said > 0:
        return float(said)
    return None
