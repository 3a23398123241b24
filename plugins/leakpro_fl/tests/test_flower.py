"""What is recorded of Flower, by the strategy and by the mod; Flower's own code in one process."""

import json
import subprocess
import sys
import warnings
from pathlib import Path

import attrs
import numpy as np
import pytest
from leakpro_fl.options import ReceivedOptions

from leakpro_core import draft
from leakpro_core.errors import BadValue, MissingFile, RunFolderTaken
from leakpro_core.options import build
from leakpro_core.records import ClientUpdate, Disclosed

with warnings.catch_warnings():  # of a library that Flower's command line needs
    warnings.simplefilter("ignore")
    pytest.importorskip("flwr", reason="it is the extra leakpro-fl[flower]")
    from federation import NODES, RUN, InProcess, answer, clients, model, record, stored, train
    from flwr.app import ArrayRecord, Message, RecordDict
    from flwr.clientapp.mod import LocalDpMod
    from flwr.serverapp.strategy import DifferentialPrivacyServerSideFixedClipping, FedAvg
    from leakpro_fl.flower import Recording, RecordingStrategy, recording_mod

FIRST, SECOND = NODES
FACTORY = "net:network"


@pytest.fixture
def folder(tmp_path) -> Path:
    return tmp_path / "recorded"


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(
        one[name].dtype == other[name].dtype and np.array_equal(one[name], other[name])
        for name in one
    )


def arrays_of(message: Message) -> dict[str, np.ndarray]:
    return {name: array.numpy() for name, array in message.content["arrays"].items()}


def options(plan: Path) -> ReceivedOptions:
    """Return what the loader is told by a plan."""
    read = draft.read(plan)
    target = {key: value for key, value in read.target.items() if key != "loader"}
    return build(ReceivedOptions, target, at="[target]", folder=plan.parent)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


# The strategy.


def test_what_is_recorded_is_what_was_sent_and_answered(folder):
    grid = InProcess(clients())
    train(RecordingStrategy(FedAvg(), Recording(folder=folder, factory=FACTORY)), grid)
    node = grid.said[0].metadata.dst_node_id
    first = {name: np.asarray(value) for name, value in model().items()}
    assert same(stored(folder / "round-0001/before.safetensors"), first)
    for number in (1, 2):
        at = folder / f"round-{number:04d}"
        [reply] = [
            reply
            for reply in grid.received
            if reply.metadata.src_node_id == node
            and reply.metadata.message_type == "train"
            and same(arrays_of(reply), answer(stored(at / "before.safetensors"), node, number))
        ]
        assert same(stored(at / f"client-{node}.safetensors"), arrays_of(reply))
    assert files(folder) == {
        "audit.toml",
        "sidecar.json",
        *(
            f"round-000{number}/{name}"
            for number in (1, 2)
            for name in (
                "before.safetensors",
                f"client-{node}.safetensors",
                f"client-{node}.json",
            )
        ),
    }


def test_recorded_arrays_make_a_client_update(folder):
    grid = InProcess(clients())
    train(RecordingStrategy(FedAvg(), Recording(folder=folder, factory=FACTORY)), grid)
    said = options(folder / "audit.toml")
    [*updates] = [
        ClientUpdate(before=stored(before), values=stored(after))
        for before, after in zip(said.befores, said.updates, strict=True)
    ]
    assert [set(update.values) for update in updates] == [set(model())] * 2
    disclosed = Disclosed(**json.loads(said.sidecar.read_text()))
    examples = 32 * NODES.index(grid.said[0].metadata.dst_node_id) + 32
    assert disclosed == Disclosed(kind="weights", examples=examples, lr=0.125, dtype="float32")


def test_the_training_is_the_same_with_a_recorder_and_without(folder):
    recorder = RecordingStrategy(FedAvg(), Recording(folder=folder, factory=FACTORY))
    grids = [InProcess(clients()), InProcess(clients())]
    results = [train(s, grid) for s, grid in zip((recorder, FedAvg()), grids, strict=True)]
    one, other = results
    assert one.arrays == other.arrays
    assert one.train_metrics_clientapp == other.train_metrics_clientapp
    assert (
        one.evaluate_metrics_clientapp
        == other.evaluate_metrics_clientapp
        == {
            1: {"loss": 0.5},
            2: {"loss": 0.5},
        }
    )
    assert len(grids[0].said) == len(grids[1].said) == 8


def test_a_strategy_with_a_start_of_its_own_keeps_it(folder):
    class Own(FedAvg):
        def start(self, *arguments, **named):
            self.began = True
            return super().start(*arguments, **named)

    strategy = Own()
    train(
        RecordingStrategy(strategy, Recording(folder=folder, factory=FACTORY)), InProcess(clients())
    )
    assert strategy.began
    assert len(options(folder / "audit.toml").updates) == 2
    assert not {"configure_train", "aggregate_train"} & set(vars(strategy))


def test_outermost_it_records_what_came_before_the_server_clips_it(folder):
    clipping = DifferentialPrivacyServerSideFixedClipping(
        FedAvg(), noise_multiplier=0.0, clipping_norm=1e-3, num_sampled_clients=2
    )
    recorder = RecordingStrategy(clipping, Recording(folder=folder, factory=FACTORY))
    train(recorder, InProcess(clients()), 1)
    [after] = options(folder / "audit.toml").updates
    node = int(after.stem.removeprefix("client-"))
    assert same(stored(after), answer(stored(after.parent / "before.safetensors"), node, 1))


def test_it_can_stand_inside_another_wrapper(folder):
    recorder = RecordingStrategy(FedAvg(), Recording(folder=folder, factory=FACTORY))
    clipping = DifferentialPrivacyServerSideFixedClipping(
        recorder, noise_multiplier=0.0, clipping_norm=1e-3, num_sampled_clients=2
    )
    train(clipping, InProcess(clients()), 1)
    [after] = options(folder / "audit.toml").updates
    moved = stored(after)["1.weight"] - stored(after.parent / "before.safetensors")["1.weight"]
    assert np.abs(moved).max() < 1e-3


def test_one_client_is_recorded_in_all_rounds_unless_more_are_asked_for(folder):
    grid = InProcess(clients())
    train(RecordingStrategy(FedAvg(), Recording(folder=folder, factory=FACTORY)), grid, 6)
    asked = [m.metadata.dst_node_id for m in grid.said if m.metadata.message_type == "train"]
    names = {path.stem for path in folder.glob("round-*/client-*.safetensors")}
    assert names == {f"client-{asked[0]}"}
    assert len(options(folder / "audit.toml").updates) == 6


def test_every_client_has_a_plan_of_its_own(folder):
    recording = Recording(folder=folder, factory=FACTORY)
    train(RecordingStrategy(FedAvg(), recording, clients=2), InProcess(clients()))
    plans = sorted(path.name for path in folder.glob("audit*.toml"))
    other = next(node for node in NODES if f"audit-{node}.toml" in plans)
    assert plans == [f"audit-{other}.toml", "audit.toml"]
    for plan, node in (("audit.toml", sum(NODES) - other), (f"audit-{other}.toml", other)):
        said = options(folder / plan)
        assert [path.stem for path in said.updates] == [f"client-{node}"] * 2
        disclosed = Disclosed(**json.loads(said.sidecar.read_text()))
        assert disclosed.examples == 32 * NODES.index(node) + 32


def test_nodes_and_rounds_can_be_named(folder):
    recording = Recording(folder=folder, factory=FACTORY, rounds=range(2, 4))
    train(RecordingStrategy(FedAvg(), recording, nodes=(SECOND,)), InProcess(clients()), 4)
    updates = options(folder / "audit.toml").updates
    assert [path.relative_to(folder).as_posix() for path in updates] == [
        f"round-000{number}/client-{SECOND}.safetensors" for number in (2, 3)
    ]


def test_a_client_that_is_sent_another_model_has_a_file_for_it(folder):
    class Personal(FedAvg):
        def configure_train(self, *arguments):
            for message in super().configure_train(*arguments):
                content = dict(message.content)
                if message.metadata.dst_node_id == SECOND:
                    content["arrays"] = record(answer(arrays_of(message), 1, 0))
                yield Message(RecordDict(content), message.metadata.dst_node_id, "train")

    recording = Recording(folder=folder, factory=FACTORY)
    train(RecordingStrategy(Personal(), recording, nodes=NODES), InProcess(clients()), 1)
    names = {path.name for path in (folder / "round-0001").glob("before*")}
    said = [options(folder / plan) for plan in ("audit.toml", f"audit-{SECOND}.toml")]
    shared = {each.before.name for each in said}
    assert len(names) == 2
    assert names == shared
    for each in said:
        [after] = each.updates
        node = int(after.stem.removeprefix("client-"))
        assert same(stored(after), answer(stored(each.before), node, 1))


def test_arrays_of_a_list_are_written_in_their_order(folder):
    values = [np.arange(3.0), np.arange(12.0).reshape(3, 4), *(np.array(n) for n in range(9))]
    start = {str(n): value for n, value in enumerate(values)}
    recording = Recording(folder=folder, factory=FACTORY)
    train(RecordingStrategy(FedAvg(), recording), InProcess(clients()), 1, start)
    said = options(folder / "audit.toml")
    assert said.before.suffix == said.updates[0].suffix == ".npz"
    found = stored(said.before)
    assert list(found) == [f"arr_{n}" for n in range(len(values))]
    assert all(np.array_equal(a, b) for a, b in zip(found.values(), values, strict=True))


def test_what_the_user_states_comes_before_what_messages_say(folder):
    stated = Disclosed(kind="weights", lr=0.5, momentum=0.9, epochs=3, mode="train", mean=(0.5,))
    recording = Recording(folder=folder, factory=FACTORY, disclosed=stated)
    train(RecordingStrategy(FedAvg(), recording), InProcess(clients()))
    said = json.loads((folder / "sidecar.json").read_text())
    assert said.keys() <= {field.name for field in attrs.fields(Disclosed)}
    assert (said["lr"], said["momentum"], said["epochs"], said["mean"]) == (0.5, 0.9, 3, [0.5])


def test_what_differs_between_rounds_is_not_known(folder):
    class Decaying(FedAvg):
        def configure_train(self, server_round, arrays, config, grid):
            config["lr"] = 0.5**server_round
            return super().configure_train(server_round, arrays, config, grid)

    recording = Recording(folder=folder, factory=FACTORY)
    train(RecordingStrategy(Decaying(), recording), InProcess(clients()))
    assert "lr" not in json.loads((folder / "sidecar.json").read_text())


@pytest.mark.parametrize("fails", [{FIRST}, {FIRST, SECOND}])
def test_clients_that_fail_are_not_recorded(folder, fails):
    strategy = RecordingStrategy(FedAvg(), Recording(folder=folder, factory=FACTORY), clients=2)
    train(strategy, InProcess(clients(fails=fails.__contains__)))
    found = {int(path.stem.removeprefix("client-")) for path in folder.glob("round-*/*.json")}
    assert found == {*NODES} - fails


def test_a_recording_that_fails_does_not_end_the_training(folder, caplog):
    class Odd(FedAvg):
        def aggregate_train(self, server_round, replies):
            self.seen = [message.metadata.src_node_id for message in replies]
            return None, None

    recording = Recording(folder=folder, factory=FACTORY, arrays="weights")
    strategy = Odd()
    with caplog.at_level("WARNING", logger="flwr"):
        train(RecordingStrategy(strategy, recording), InProcess(clients()), 1)
    assert sorted(strategy.seen) == list(NODES)
    assert not (folder / "audit.toml").exists()
    [said] = [record.message for record in caplog.records if "LeakPro" in record.message]
    assert said.startswith("LeakPro recorded nothing of node 1")


def test_a_folder_with_rounds_of_another_training_is_refused(folder):
    recording = Recording(folder=folder, factory=FACTORY)
    train(RecordingStrategy(FedAvg(), recording), InProcess(clients()), 1)
    with pytest.raises(RunFolderTaken, match="rounds of another training"):
        RecordingStrategy(FedAvg(), recording)


# The plan.


def test_the_plan_has_the_clients_records_and_others_where_they_are_known(folder, tmp_path):
    rng = np.random.default_rng(0)
    x, y = rng.random((40, 4)), rng.integers(0, 3, 40)
    np.savez(tmp_path / "batch.npz", x=x[:32], y=y[:32])
    np.savez(tmp_path / "others.npz", x=x[32:], y=y[32:])
    code = tmp_path / "net.py"
    code.write_text("# a network\n")
    recording = Recording(
        folder=folder,
        factory=FACTORY,
        code=(code,),
        batch=tmp_path / "batch.npz",
        others=tmp_path / "others.npz",
        modality="image",
        tables='[[adversary]]\naccess = "update"\nknows = ["labels"]\n',
    )
    train(RecordingStrategy(FedAvg(), recording, nodes=(FIRST,)), InProcess(clients()), 1)
    plan = draft.read(folder / "audit.toml")
    assert options(folder / "audit.toml").batch == tmp_path / "batch.npz"
    assert (plan.data.path, plan.data.members) == (folder / "data.npz", "members")
    assert (plan.data.sampling, plan.data.modality) == ("all", "image")
    assert [card.knows for card in plan.adversaries] == [("labels",)]
    assert (folder / "net.py").read_text() == "# a network\n"
    data = stored(folder / "data.npz")
    assert np.array_equal(data["x"], x)
    assert np.array_equal(data["y"], y)
    assert np.array_equal(data["members"], np.arange(40) < 32)


def test_without_the_clients_records_the_plan_has_the_others_alone(folder, tmp_path):
    others = tmp_path / "others.npz"
    np.savez(others, x=np.zeros((8, 4)), y=np.zeros(8, np.int64))
    recording = Recording(folder=folder, factory=FACTORY, others=others)
    train(RecordingStrategy(FedAvg(), recording), InProcess(clients()), 1)
    plan = draft.read(folder / "audit.toml")
    assert (plan.data.path, plan.data.members) == (others, None)
    assert options(folder / "audit.toml").batch is None
    text = (folder / "audit.toml").read_text()
    assert str(tmp_path) not in text  # so that the folders can be moved together


def test_shape_and_classes_stand_in_the_plan(folder):
    recording = Recording(folder=folder, factory=FACTORY, shape=(1, 8, 8), classes=10)
    train(RecordingStrategy(FedAvg(), recording), InProcess(clients()), 1)
    said = options(folder / "audit.toml")
    assert (said.shape, said.classes) == ((1, 8, 8), 10)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"factory": "net"}, BadValue, "found 'net', expected the form 'package.module:callable'"),
        ({"tables": "[data"}, BadValue, "expected TOML"),
        ({"code": ("absent.py",)}, MissingFile, "absent.py' of a recording: found no such file"),
        ({"others": __file__, "tables": "[data]\n"}, BadValue, "data. beside others"),
    ],
)
def test_what_cannot_be_recorded_is_said_at_once(folder, wrong, error, message):
    with pytest.raises(error, match=message):
        Recording(**{"folder": folder, "factory": FACTORY, **wrong})


# The mod.


def of_node(folder: Path, node: int) -> Path:
    return folder / f"run-{RUN}-node-{node}"


def test_the_mod_records_of_every_client_what_the_server_receives(folder):
    mod = recording_mod(Recording(folder=folder / "sent", factory=FACTORY))
    received = Recording(folder=folder / "received", factory=FACTORY)
    grid = InProcess(clients(mod, consume=True))
    train(RecordingStrategy(FedAvg(), received, nodes=NODES), grid)
    for node, suffix in ((FIRST, ""), (SECOND, f"-{SECOND}")):
        sent = options(of_node(folder / "sent", node) / "audit.toml")
        there = options(folder / "received" / f"audit{suffix}.toml")
        assert len(sent.updates) == 2
        for name in ("befores", "updates"):
            pairs = zip(getattr(sent, name), getattr(there, name), strict=True)
            assert all(one.read_bytes() == other.read_bytes() for one, other in pairs)
        assert json.loads(sent.sidecar.read_text()) == json.loads(there.sidecar.read_text())


@pytest.mark.parametrize("first", [True, False])
def test_before_a_mod_that_adds_noise_it_records_the_noise(folder, first):
    noise = LocalDpMod(clipping_norm=1e6, sensitivity=1.0, epsilon=1.0, delta=1e-5)
    record = recording_mod(Recording(folder=folder, factory=FACTORY))
    grid = InProcess(clients(*((record, noise) if first else (noise, record))))
    train(FedAvg(fraction_evaluate=0.0), grid, 1)
    [reply] = [each for each in grid.received if each.metadata.src_node_id == FIRST]
    [after] = options(of_node(folder, FIRST) / "audit.toml").updates
    found = stored(after)
    own = answer(stored(after.parent / "before.safetensors"), FIRST, 1)
    assert same(found, arrays_of(reply)) == first
    assert same(found, own) == (not first)


def test_the_mod_writes_the_clients_own_records(folder, tmp_path):
    others = tmp_path / "others.npz"
    np.savez(others, x=np.zeros((8, 4)), y=np.zeros(8, np.int64))

    def own(context):
        number = context.node_config["partition-id"]
        return np.full((32 + 32 * number, 4), number + 1.0), np.zeros(32 + 32 * number, np.int64)

    recording = Recording(folder=folder, factory=FACTORY, others=others)
    train(FedAvg(), InProcess(clients(recording_mod(recording, batch=own))), 1)
    for number, node in enumerate(NODES):
        said = options(of_node(folder, node) / "audit.toml")
        batch = stored(said.batch)
        assert np.array_equal(batch["x"], np.full((32 + 32 * number, 4), number + 1.0))
        assert len(batch["y"]) == json.loads(said.sidecar.read_text())["examples"]
        data = draft.read(of_node(folder, node) / "audit.toml").data
        assert int(stored(data.path)["members"].sum()) == len(batch["y"])


def test_the_mod_lets_a_client_go_on_whose_recording_fails(folder, caplog):
    def own(context):
        raise KeyError("no records")

    mod = recording_mod(Recording(folder=folder, factory=FACTORY), batch=own)
    with caplog.at_level("WARNING", logger="flwr"):
        result = train(FedAvg(), InProcess(clients(mod)), 1)
    assert set(result.arrays) == set(model())
    said = [record.message for record in caplog.records if "LeakPro" in record.message]
    assert sorted(said) == [
        f"LeakPro recorded nothing of node {node} in round 1: 'no records'" for node in NODES
    ]


def test_the_mod_counts_rounds_where_the_server_does_not_say_which_it_is(folder):
    mod = recording_mod(Recording(folder=folder, factory=FACTORY))
    grid = InProcess(clients())
    train(FedAvg(), grid, 1)
    message, reply = grid.said[0], grid.received[0]
    silent = Message(
        RecordDict({"arrays": ArrayRecord({})}), message.metadata.dst_node_id, "train.again"
    )
    content = RecordDict({"arrays": reply.content["arrays"]})
    node = message.metadata.dst_node_id
    context = attrs.make_class("Node", ["node_id"])(node)
    for _ in range(2):
        mod(silent, context, lambda message, _: Message(content, reply_to=message))
    found = of_node(folder, node).glob("round-*/client-*.json")
    assert sorted(path.parent.name for path in found) == ["round-0001", "round-0002"]


# Without Flower.


def test_without_flower_the_rest_works_and_this_says_what_to_install():
    code = (
        "import sys; sys.modules['flwr'] = None\n"
        "import leakpro_fl, leakpro_fl.plugin, leakpro_fl.options\n"
        "from leakpro_core.errors import ReferenceNotFound\n"
        "try:\n"
        "    import leakpro_fl.flower\n"
        "except ReferenceNotFound as error:\n"
        "    sys.stdout.write(str(error))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("Install it: pip install 'leakpro-fl[flower]'.")
    assert done.stdout.startswith("leakpro_fl.flower: found no Flower")
