"""A server and a client of Flower; what LeakPro adds is one line in each."""

from pathlib import Path

import net
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from leakpro_fl.flower import Recording, RecordingStrategy, recording_mod
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

from leakpro_core.records import Disclosed

ROUNDS = 2

KNOWN = Disclosed(
    kind="weights",
    optimiser="sgd",
    momentum=0.9,
    nesterov=False,
    weight_decay=0.0,
    epochs=1,
    batch_size=32,
    shuffled=True,
    mode="train",
    reduction="mean",
    noise=0.0,
    pruned=0.0,
)
"""What the server knows of the training, beside what the messages say."""

ADVERSARY = """
[[adversary]]
name = "curious server"
label = "realistic"
actor = "whoever runs the server, and follows the protocol"
access = "update"
knows = ["batch size", "hyper-parameters", "batch-norm statistics", "auxiliary population",
         "candidate records"]
rationale = "It wrote the training loop and has such records of others; labels it must find out."
"""


def recording(folder: Path, others: Path) -> Recording:
    """Say what is recorded, and what audits of it need beside it."""
    return Recording(
        folder=folder,
        factory="net:network",
        code=(net.__file__,),
        disclosed=KNOWN,
        others=others,
        modality="image",
        tables=ADVERSARY,
    )


def server_app(folder: Path, others: Path) -> ServerApp:
    """Return the server; what it receives from one client is written to ``folder``."""
    app = ServerApp()

    @app.main()
    def main(grid: Grid, context: Context) -> None:
        torch.manual_seed(0)
        strategy = FedAvg(fraction_evaluate=0.0)
        strategy = RecordingStrategy(strategy, recording(folder, others))  # this line
        strategy.start(
            grid=grid,
            initial_arrays=ArrayRecord(net.network().state_dict()),
            train_config=ConfigRecord({"lr": 0.1}),
            num_rounds=ROUNDS,
        )

    return app


def client_app(folder: Path, others: Path) -> ClientApp:
    """Return the clients; what they send, and their own records, is written to ``folder``."""
    mods = [recording_mod(recording(folder, others), batch=own)]  # this line; before other mods
    app = ClientApp(mods=mods)

    @app.train()
    def train(message: Message, context: Context) -> Message:
        torch.set_num_threads(1)
        torch.manual_seed(context.node_config["partition-id"])
        model = net.network()
        model.load_state_dict(message.content["arrays"].to_torch_state_dict())
        lr = message.content["config"]["lr"]
        optimiser = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
        records = TensorDataset(*map(torch.from_numpy, own(context)))
        for x, y in DataLoader(records, batch_size=32, shuffle=True):
            optimiser.zero_grad()
            cross_entropy(model(x), y).backward()
            optimiser.step()
        arrays = ArrayRecord(model.state_dict())
        metrics = MetricRecord({"num-examples": len(records)})
        return Message(RecordDict({"arrays": arrays, "metrics": metrics}), reply_to=message)

    return app


def own(context: Context):
    """Return the records and labels of the client that this is."""
    return net.client(context.node_config["partition-id"])
