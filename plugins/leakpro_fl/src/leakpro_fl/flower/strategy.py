"""The server's side: a strategy that records what clients answer, and changes nothing."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Result, Strategy

from leakpro_fl.flower.files import claim, round_folder, write_arrays, write_known, write_plan
from leakpro_fl.flower.messages import arrays_of, known_of, values_of, warn
from leakpro_fl.flower.recording import Recording

_NO_ARRAYS = "no array record, or several and none of that name (Recording's arrays)"


class RecordingStrategy(Strategy):
    """A strategy around another, which does the work; the global model and replies are recorded.

    Make it the outermost: wrappers that clip replies on the server then see them after it.
    strategy: the one that is wrapped, whose own ``start`` runs; recording: what, and where.
    clients: how many are recorded, those that are asked first; they are kept to in later rounds.
    nodes: the ids of those that are, instead.
    The first client's plan is ``audit.toml``; any other's is ``audit-NODE.toml``.
    Raises RunFolderTaken where the folder holds another training. Whatever goes wrong later is a
    warning in Flower's log: a training never ends by it.
    """

    def __init__(
        self,
        strategy: Strategy,
        recording: Recording,
        *,
        clients: int = 1,
        nodes: tuple[int, ...] = (),
    ) -> None:
        claim(recording.folder)
        self.strategy = strategy
        self.recording = recording
        self._clients = len(nodes) or clients
        self._nodes = list(nodes)
        self._sent: dict[int, Message] = {}
        # Those of the strategy itself: `start` puts this one's in their place.
        self._configure = strategy.configure_train
        self._aggregate = strategy.aggregate_train

    def start(self, *arguments: Any, **named: Any) -> Result:
        """Run the wrapped strategy's ``start``, which may be its own, by this one's methods."""
        inside = vars(self.strategy)
        before = dict(inside)
        inside.update(configure_train=self.configure_train, aggregate_train=self.aggregate_train)
        try:
            return self.strategy.start(*arguments, **named)
        finally:
            for name in ("configure_train", "aggregate_train"):
                del inside[name]
                if name in before:
                    inside[name] = before[name]

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the wrapped strategy's messages; what is sent to recorded clients is written."""
        messages = list(self._configure(server_round, arrays, config, grid))
        self._sent = {}
        if self.recording.keeps(server_round):
            written: list[ArrayRecord] = []
            for message in messages:
                node = message.metadata.dst_node_id
                if node not in self._nodes and len(self._nodes) < self._clients:
                    self._nodes.append(node)
                if node in self._nodes:
                    self._note(server_round, node, message, written)
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return the wrapped strategy's aggregate; replies are written before it sees them."""
        received = list(replies)
        for reply in received:
            message = self._sent.pop(reply.metadata.src_node_id, None)
            if message is not None:
                self._record(server_round, message, reply)
        return self._aggregate(server_round, received)

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the wrapped strategy's messages."""
        return self.strategy.configure_evaluate(server_round, arrays, config, grid)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Return the wrapped strategy's aggregate."""
        return self.strategy.aggregate_evaluate(server_round, replies)

    def summary(self) -> None:
        """Log the wrapped strategy's summary."""
        self.strategy.summary()

    def _note(self, number: int, node: int, message: Message, written: list[ArrayRecord]) -> None:
        """Write the model that is sent to a node; one file for all that are sent the same."""
        try:
            sent = arrays_of(message, self.recording.arrays)
            if sent is None:
                warn(node, number, f"the message to it has {_NO_ARRAYS}")
                return
            if not written:
                write_arrays(self._at(number) / "before", values_of(sent))
                written.append(sent)
            elif sent is not written[0] and sent != written[0]:
                write_arrays(self._at(number) / f"before-{node}", values_of(sent))
            self._sent[node] = message
        except Exception as error:  # whatever it is, the training goes on
            warn(node, number, error)

    def _record(self, number: int, message: Message, reply: Message) -> None:
        node = reply.metadata.src_node_id
        try:
            if reply.has_error():
                return  # which Flower says itself
            answered = arrays_of(reply, self.recording.arrays)
            if answered is None:
                warn(node, number, f"its reply has {_NO_ARRAYS}")
                return
            values = values_of(answered)
            at = self._at(number)
            write_arrays(at / f"client-{node}", values)
            write_known(at / f"client-{node}.json", known_of(message, reply, values.values()))
            suffix = "" if node == self._nodes[0] else f"-{node}"
            write_plan(self.recording, self.recording.folder, node, suffix)
        except Exception as error:  # whatever it is, the training goes on
            warn(node, number, error)

    def _at(self, number: int) -> Path:
        return round_folder(self.recording.folder, number)
