"""Flower in one process: its own apps, strategies and mods, and a grid that calls the clients."""

from collections.abc import Callable, Iterable
from copy import deepcopy
from pathlib import Path

import numpy as np
import safetensors.numpy
from flwr.app import (
    Array,
    ArrayRecord,
    ConfigRecord,
    Context,
    Error,
    Message,
    MetricRecord,
    RecordDict,
)
from flwr.clientapp import ClientApp
from flwr.clientapp.typing import Mod
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy
from flwr.supercore.task_identity import TaskIdentity

RUN = 7
NODES = (11, 12)

Arrays = dict[str, np.ndarray]


class InProcess(Grid):
    """A grid of clients that answer at once. received: their replies; said: the messages."""

    def __init__(self, app: ClientApp, nodes: Iterable[int] = NODES) -> None:
        self.app, self.nodes = app, tuple(nodes)
        self.said: list[Message] = []
        self.received: list[Message] = []

    def send_and_receive(self, messages, *, timeout=None):
        replies = []
        for message in messages:
            node = message.metadata.dst_node_id
            config = {"partition-id": self.nodes.index(node)}
            context = Context(
                run_id=RUN, node_id=node, node_config=config, state=RecordDict(), run_config={}
            )
            self.said.append(message)
            # What a client does with its message does not reach the server.
            replies.append(self.app(deepcopy(message), context))
        self.received += replies
        return replies

    def get_node_ids(self):
        return self.nodes

    def set_run(self, run): ...

    @property
    def run(self): ...

    def create_message(self, *arguments, **named): ...

    def push_messages(self, messages): ...

    def pull_messages(self, message_ids): ...


def record(arrays: Arrays) -> ArrayRecord:
    return ArrayRecord({name: Array(np.asarray(value)) for name, value in arrays.items()})


def model() -> Arrays:
    """Return what a small network with batch norm sends, in an order that is not sorted."""
    rng = np.random.default_rng(0)
    return {
        "1.weight": rng.normal(size=(3, 4)).astype(np.float32),
        "1.bias": rng.normal(size=3).astype(np.float32),
        "0.running_mean": np.zeros(4, np.float32),
        "0.num_batches_tracked": np.array(5),
    }


def answer(arrays: Arrays, node: int, number: int) -> Arrays:
    """Return what a node trains: every value moves by an amount of its own."""
    moved = {}
    for name, value in arrays.items():
        by = np.full(value.shape, node + number / 8)
        moved[name] = np.asarray(value + by, value.dtype)
    return moved


def clients(
    *mods: Mod, fails: Callable[[int], bool] = lambda node: False, consume: bool = False
) -> ClientApp:
    """Return clients; consume: whether they empty the message, as one that saves memory does."""
    app = ClientApp(mods=list(mods))

    @app.train()
    def train(message: Message, context: Context) -> Message:
        if fails(context.node_id):
            return Message(Error(code=0, reason="no"), reply_to=message)
        sent = message.content["arrays"]
        arrays = {name: array.numpy() for name, array in sent.items()}
        if consume:
            sent.clear()
        number = message.content["config"]["server-round"]
        content = {
            "arrays": record(answer(arrays, context.node_id, number)),
            "metrics": MetricRecord({"num-examples": 32 * NODES.index(context.node_id) + 32}),
        }
        return Message(RecordDict(content), reply_to=message)

    @app.evaluate()
    def evaluate(message: Message, context: Context) -> Message:
        metrics = MetricRecord({"num-examples": 8, "loss": 0.5})
        return Message(RecordDict({"metrics": metrics}), reply_to=message)

    return app


def train(strategy: Strategy, grid: Grid, rounds: int = 2, start: Arrays | None = None) -> Result:
    TaskIdentity.run_id, TaskIdentity.node_id, TaskIdentity.task_id = RUN, 1, 1
    return strategy.start(
        grid,
        record(model() if start is None else start),
        num_rounds=rounds,
        train_config=ConfigRecord({"lr": 0.125}),
    )


def stored(path: Path) -> Arrays:
    if path.suffix == ".npz":
        with np.load(path) as file:
            return dict(file)
    return safetensors.numpy.load_file(path)
