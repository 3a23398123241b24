"""What a client's check says of ordinary models, and of models of malicious servers.

Writes bench/results/inspect_model.json. Run from the root, one thread:
``python bench/inspect_model.py`` (some CPU minutes). Data: shared/data/adult.parquet beside the
tree; images are smooth noise of the size of CIFAR-10.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import numpy as np
import torch
from evidence import write
from leakpro_fl.bins import imprinted
from leakpro_fl.client import arrays_of
from leakpro_fl.inspect_model import check, readable
from leakpro_fl.procedure import Steps, order, own, state_of, trained
from torch import nn
from update_membership import adult

from leakpro_core.arrays import AnyArray, Ints
from leakpro_core.records import Auxiliary
from leakpro_core.statistics.intervals import clopper_pearson

PATHS = (
    "bench/inspect_model.py",
    "plugins/leakpro_fl/src/leakpro_fl/bins.py",
    "plugins/leakpro_fl/src/leakpro_fl/inspect_model.py",
    "plugins/leakpro_fl/src/leakpro_fl/per_record.py",
)
SEEDS, BATCH = 5, 64
Data = tuple[AnyArray, Ints]


def images(n: int, seed: int) -> Data:
    """Return smooth noise ``[n, 3, 32, 32]`` and labels of 10 classes that follow its colours."""
    rng = np.random.default_rng(seed)
    coarse = torch.from_numpy(rng.normal(size=(n, 3, 5, 5)).astype(np.float32))
    x = nn.functional.interpolate(coarse, 32, mode="bicubic", align_corners=False).numpy()
    return x, (x.mean((2, 3)) @ rng.normal(size=(3, 10))).argmax(1)


def mlp(*widths: int) -> nn.Module:
    layers: list[nn.Module] = [nn.Flatten()]
    for into, out in pairwise(widths):
        layers += [nn.Linear(into, out), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def convolutional(norm: bool) -> nn.Module:
    layers: list[nn.Module] = []
    for into, out, stride in ((3, 8, 1), (8, 16, 2), (16, 16, 2)):
        layers += [nn.Conv2d(into, out, 3, stride=stride, padding=1)]
        layers += [nn.BatchNorm2d(out)] * norm + [nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * 64, 10))


def started(module: nn.Module, how: str) -> nn.Module:
    for each in module.modules():
        if isinstance(each, nn.Linear | nn.Conv2d):
            if how == "kaiming":
                nn.init.kaiming_normal_(each.weight)
            elif how == "orthogonal":
                nn.init.orthogonal_(each.weight)
            elif how == "small":
                nn.init.normal_(each.weight, std=1e-3)
            if how != "default" and each.bias is not None:
                nn.init.zeros_(each.bias)
    return module


def ordinary(tables: Data) -> Iterator[tuple[str, nn.Module, Data]]:
    """Yield models that nobody has tampered with, untrained and trained."""
    columns = tables[0].shape[1]
    builders: dict[str, Callable[[], nn.Module]] = {
        "table 32": lambda: mlp(columns, 32, 2),
        "table 64-64": lambda: mlp(columns, 64, 64, 2),
        "table 1024": lambda: mlp(columns, 1024, 2),
        "image 256": lambda: mlp(3072, 256, 10),
        "image convolutional": lambda: convolutional(False),
        "image convolutional, batch norm": lambda: convolutional(True),
    }
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(tables[0]))[:600]
        table, picture = (tables[0][rows], tables[1][rows]), images(600, seed)
        for name, build in builders.items():
            for how in ("default", "kaiming", "orthogonal", "small"):
                with torch.random.fork_rng(devices=[]):
                    torch.manual_seed(seed)
                    module = started(build(), how)
                data = table if name.startswith("table") else picture
                yield f"{name}, {how}, untrained", module, data
                epochs = 20 if name.startswith("table") else 3
                yield f"{name}, {how}, trained", learned(module, data, epochs), data


def learned(module: nn.Module, data: Data, epochs: int) -> nn.Module:
    how = Steps(lr=0.05, momentum=0.9, epochs=epochs, batch_size=32)
    mine, state = own(module, train=True), state_of(arrays_of(module))
    x, y = torch.from_numpy(data[0]), torch.from_numpy(data[1])
    names = [name for name, _ in mine.named_parameters()]
    after = trained(mine, state, x[:500], y[:500], names, how, order(500, how, 0))
    mine.load_state_dict(after)
    return mine


def malicious(tables: Data) -> Iterator[tuple[str, nn.Module, Data]]:
    """Yield models with an imprint of every kind and size."""
    for seed in range(SEEDS):
        rng = np.random.default_rng(seed)
        rows = rng.permutation(len(tables[0]))[:600]
        table, picture = (tables[0][rows], tables[1][rows]), images(600, seed)
        for kind in ("cumulative", "sparse", "trap"):
            for bins in (8, 32, 128, 512):
                for name, data, module in (
                    ("table", table, mlp(table[0].shape[1], 64, 2)),
                    ("image", picture, convolutional(False)),
                ):
                    x, y = data
                    known = Auxiliary(records=x[:500], labels=y[:500]) if seed % 2 else None
                    made = imprinted(module, x.shape[1:], bins, seed, known, kind)
                    yield f"{kind}, {bins} bins, {name}", made, data


def main() -> None:
    torch.set_num_threads(1)
    tables = adult()
    counts: dict[str, dict[str, int]] = {}
    read: dict[str, list[int]] = {}
    for side, models in (("ordinary", ordinary(tables)), ("malicious", malicious(tables))):
        for name, module, (x, y) in models:
            before, batch = arrays_of(module), slice(500, 500 + BATCH)
            traces = check(before, module, records=x[batch], labels=y[batch])
            group = counts.setdefault(side, {"models": 0, "by weights": 0, "by either": 0})
            # What reads an imprint's bins shows too; it is the bins that count here.
            kinds = {t.kind for t in traces if side == "ordinary" or t.layer == "imprint.bins"}
            group["models"] += 1
            group["by weights"] += bool(kinds - {"readable"})
            group["by either"] += bool(kinds)
            for kind in kinds:
                group[kind] = group.get(kind, 0) + 1
            if (side == "ordinary") == bool(kinds):
                print(side, name, [t.said for t in traces], flush=True)
            found = readable(before, module, x[batch], y[batch])
            if found:
                read.setdefault(f"{side}: {name}", []).append(max(each.read for each in found))
    alarms, asked = counts["ordinary"]["by either"], counts["ordinary"]["models"]
    limits = clopper_pearson(alarms, asked)
    figures = {
        "batch": BATCH,
        "counts": counts,
        "false_alarms": [alarms, asked],
        "false_alarm_interval": [round(limits.low, 4), round(limits.high, 4)],
        "records_read_of_the_batch": {
            name: [min(each), max(each)] for name, each in sorted(read.items())
        },
    }
    print(write("inspect_model", figures, PATHS))


if __name__ == "__main__":
    main()
