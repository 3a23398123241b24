from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from attrs import evolve
from leakpro_fl import relaxed
from leakpro_fl.alternatives import least_effects
from leakpro_fl.client import TorchClient
from leakpro_fl.mixtures import Batch
from leakpro_fl.one_hot import OneHotOptions, attack
from leakpro_fl.procedure import gradient
from leakpro_fl.rows import layers_of, present, rows_of
from leakpro_torch.modules import threads
from torch import nn

from leakpro_core.errors import NotApplicable
from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import Auxiliary, Disclosed

ADULT = Path(__file__).resolve().parents[4] / "shared" / "data" / "adult.parquet"
SIZES = (7, 5, 4, 3)
NUMBERS = 3
GROUPS = tuple(
    tuple(range(NUMBERS + sum(SIZES[:g]), NUMBERS + sum(SIZES[: g + 1]))) for g in range(len(SIZES))
)
COLUMNS = NUMBERS + sum(SIZES)
FAST = OneHotOptions(restarts=2, iterations=60)


@pytest.fixture(autouse=True)
def one_thread():
    with threads(1):
        yield


class Embedded(nn.Module):
    """No layer is given whole rows; no ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(size, 4, bias=False) for size in SIZES)
        self.mix = nn.Linear(4 * len(SIZES) + NUMBERS, 24)
        self.again, self.head = nn.Linear(24, 24), nn.Linear(24, 2)

    def forward(self, x):
        parts = [part(x[:, list(g)]) for part, g in zip(self.parts, GROUPS, strict=True)]
        h = self.mix(torch.cat([*parts, x[:, :NUMBERS]], 1)).tanh()
        return self.head(h + self.again(h).tanh())


class Mixed(nn.Module):
    """Normalises columns and puts them in another order before its first layer."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(COLUMNS)
        with torch.no_grad():
            self.norm.running_mean.uniform_(-1.0, 1.0)
            self.norm.running_var.uniform_(0.5, 2.0)
        self.inner = nn.Sequential(nn.Linear(COLUMNS, 40), nn.Tanh(), nn.Linear(40, 2))

    def forward(self, x):
        return self.inner(self.norm(x).flip(1))


def plain(activation: type[nn.Module] = nn.ReLU) -> nn.Module:
    return nn.Sequential(
        nn.Linear(COLUMNS, 40), activation(), nn.Linear(40, 40), activation(), nn.Linear(40, 2)
    )


def made(factory, seed: int = 0) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return factory().eval()


def rows(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = np.zeros((n, COLUMNS), dtype=np.float32)
    x[:, :NUMBERS] = rng.standard_normal((n, NUMBERS))
    for group in GROUPS:
        x[np.arange(n), rng.choice(group, n)] = 1.0
    return x, rng.integers(0, 2, n)


def asked(module, x, y, disclosed, *, knows: bool = True, groups=GROUPS) -> InversionChallenge:
    before = {name: v.numpy().copy() for name, v in module.state_dict().items()}
    others, labels = rows(200, seed=99)
    return InversionChallenge(
        model=module,
        before=before,
        update=TorchClient(module=module, disclosed=disclosed).update(before, x, y, 0),
        disclosed=disclosed if knows else evolve(disclosed, examples=None),
        labels=np.sort(y) if knows else None,
        buffers=tuple(name for name, _ in module.named_buffers()),
        shape=x.shape[1:],
        classes=2,
        modality="tabular",
        groups=groups,
        auxiliary=Auxiliary(records=others, labels=labels) if groups is GROUPS else None,
    )


def run(challenge, options=FAST):
    return attack(challenge, options, SimpleNamespace(seed=0))


def in_order(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    rows = np.column_stack([x, y])
    return rows[np.lexsort(np.round(rows, 3).T)]


def gradient_of(b: int, **more: object) -> Disclosed:
    return Disclosed(kind="gradient", examples=b, dtype="float32", mode="eval", **more)


@pytest.mark.parametrize(
    "factory", [plain, lambda: plain(nn.Tanh), Mixed], ids=["relu", "tanh", "normalised, mixed"]
)
def test_rows_are_recovered_and_certified(factory):
    x, y = rows(6)
    answer = run(asked(made(factory), x, y, gradient_of(6)))
    np.testing.assert_allclose(in_order(answer.records, answer.labels), in_order(x, y), atol=1e-3)
    assert answer.certified.all()


def test_number_of_rows_and_labels_need_not_be_known():
    x, y = rows(5)
    answer = run(asked(made(plain), x, y, gradient_of(5), knows=False))
    np.testing.assert_allclose(in_order(answer.records, answer.labels), in_order(x, y), atol=1e-3)


def test_people_of_the_same_categories_are_told_apart_by_their_numbers():
    x, y = rows(5)
    x[4, NUMBERS:] = x[1, NUMBERS:]
    answer = run(asked(made(plain), x, y, gradient_of(5)))
    np.testing.assert_allclose(in_order(answer.records, answer.labels), in_order(x, y), atol=1e-3)


class Summed:
    """Its gradient is the mean of the records."""

    classes, sparse = 1, None

    def gradient(self, x, y):
        return {"weight": x.mean(0)}


@pytest.mark.parametrize(("b", "effect"), [(1, 0.05), (2, 0.0)])
def test_numbers_that_can_move_against_each_other_are_not_certain(b, effect):
    batch = Batch(records=torch.ones(b, 1), labels=torch.zeros(b, dtype=torch.int64), residual=0.0)
    effects = least_effects(
        Summed(),
        batch,
        {"weight": torch.ones(1)},
        lambda row: (),
        [],
        numbers=[0],
        same=0.05,
        most=1,
        scaled=True,
        seed=0,
    )
    np.testing.assert_allclose(effects, effect, atol=1e-6)


def test_several_steps_leave_the_span_of_the_rows_and_no_certificate():
    x, y = rows(6)
    disclosed = Disclosed(
        kind="delta", examples=6, lr=0.05, momentum=0.9, epochs=3, batch_size=2, shuffled=True
    )
    answer = run(asked(made(plain), x, y, disclosed))
    np.testing.assert_allclose(in_order(answer.records, 0 * y), in_order(x, 0 * y), atol=1e-2)
    assert not answer.certified.any()
    assert "not known to be one step" in answer.notes[0]


def test_halves_do_no_harm():
    x, y = rows(6)
    disclosed = Disclosed(kind="gradient", examples=6, dtype="float16")
    answer = run(asked(made(plain), x, y, disclosed))
    np.testing.assert_allclose(in_order(answer.records, answer.labels), in_order(x, y), atol=0.02)


def test_where_no_layer_is_given_the_rows_they_are_optimised():
    x, y = rows(2)
    y[:] = [0, 1]
    options = OneHotOptions(restarts=2, iterations=120)
    answer = run(asked(made(Embedded), x, y, gradient_of(2)), options)
    found = answer.records[answer.labels.argsort()]
    assert answer.residual < 0.05
    for group in GROUPS:
        columns = list(group)
        assert found[:, columns].argmax(1).tolist() == x[:, columns].argmax(1).tolist()
    np.testing.assert_allclose(found[:, :NUMBERS], x[:, :NUMBERS], atol=0.1)
    assert not answer.certified.any()
    assert ((answer.claims >= 0) & (answer.claims <= 1)).all()


def test_batch_norm_in_training_mode_is_optimised_through_and_not_certified():
    x, y = rows(3)
    module = made(
        lambda: nn.Sequential(nn.Linear(COLUMNS, 20), nn.BatchNorm1d(20), nn.Linear(20, 2))
    )
    disclosed = Disclosed(kind="gradient", examples=3, mode="train")
    answer = run(asked(module, x, y, disclosed), OneHotOptions(restarts=2, iterations=5))
    assert answer.records.shape == x.shape
    assert np.isfinite(answer.residual)
    assert not answer.certified.any()


def test_records_without_groups_are_refused():
    x, y = rows(2)
    with pytest.raises(NotApplicable, match="groups of one-hot columns"):
        run(asked(made(plain), x, y, gradient_of(2), groups=()))


def test_the_model_is_not_changed_and_the_same_seed_says_the_same():
    module = made(Embedded)
    x, y = rows(2)
    challenge = asked(module, x, y, gradient_of(2))
    before = {name: v.clone() for name, v in module.state_dict().items()}
    options = OneHotOptions(restarts=2, iterations=6)
    first, again = run(challenge, options), run(challenge, options)
    assert all(torch.equal(before[name], v) for name, v in module.state_dict().items())
    assert np.array_equal(first.records, again.records)


def test_rows_of_a_span_are_all_rows_that_are_in_it():
    x, y = rows(4)
    module = made(plain)
    update = _gradient(module, x, y)["0.weight"]
    [layer] = layers_of(module, dict(module.state_dict()), COLUMNS, 0)
    found = rows_of(layer, update, GROUPS, 4, 1e-4)
    assert found.rank == 4
    assert not len(found.moves)
    combined = set()
    categories = np.column_stack([x[:, list(group)].argmax(1) for group in GROUPS])
    for pick in product(*(range(size) for size in SIZES)):
        one = np.concatenate([np.eye(n)[k] for n, k in zip(SIZES, pick, strict=True)])
        weights, *_ = np.linalg.lstsq(x[:, NUMBERS:].T, one, rcond=None)
        if np.abs(x[:, NUMBERS:].T @ weights - one).max() < 1e-3:
            combined.add(pick)
    said = {tuple(int(row[list(g)].argmax()) for g in GROUPS) for row in found.values.numpy()}
    assert combined == said
    assert {tuple(row) for row in categories.tolist()} <= said


def test_categories_that_no_row_has_are_seen_not_to_be_there():
    x, y = rows(3)
    module = made(Embedded)
    layers = layers_of(module, dict(module.state_dict()), COLUMNS, 0)
    there = present(layers, _gradient(module, x, y), COLUMNS)
    assert there[NUMBERS:].tolist() == (x[:, NUMBERS:] != 0).any(0).tolist()
    assert there[:NUMBERS].all()


def _gradient(module, x, y):
    state = {name: v.detach() for name, v in module.state_dict().items()}
    names = [name for name, _ in module.named_parameters()]
    return gradient(module, state, torch.from_numpy(x), torch.from_numpy(y), names)


def problem(module, x, y, **more) -> relaxed.Problem:
    return relaxed.Problem(
        **{
            "module": module,
            "state": {name: v.detach() for name, v in module.state_dict().items()},
            "target": _gradient(module, x, y),
            "scaled": True,
            "groups": GROUPS,
            "low": torch.full((COLUMNS,), -1.0),
            "high": torch.full((COLUMNS,), 1.0),
            "there": torch.ones(COLUMNS, dtype=torch.bool),
            "rows": len(x),
            "classes": 2,
            "y": torch.eye(2)[torch.from_numpy(y)],
            **more,
        }
    )


def test_the_residual_of_the_truth_is_0_and_no_other_is():
    x, y = rows(3)
    asked_of = problem(made(Embedded), x, y)
    both = torch.stack([torch.from_numpy(x), torch.from_numpy(rows(3, seed=5)[0])])
    off = relaxed.residuals(asked_of, both, asked_of.y.expand(2, -1, -1))
    assert off[0] < 1e-9
    assert off[1] > 1e-3


def test_without_its_length_a_gradient_counts_by_direction():
    x, y = rows(3)
    module = made(Embedded)
    target = {name: 7.0 * v for name, v in _gradient(module, x, y).items()}
    asked_of = problem(module, x, y, target=target, scaled=False)
    off = relaxed.residuals(asked_of, torch.from_numpy(x)[None], asked_of.y[None])
    assert abs(float(off[0])) < 1e-5


def test_drafts_are_rows_within_the_box_and_of_categories_that_are_there():
    x, y = rows(3)
    there = torch.ones(COLUMNS, dtype=torch.bool)
    there[GROUPS[0][0]] = False
    asked_of = problem(made(Embedded), x, y, there=there)
    drafts = relaxed.started(asked_of, 2, torch.from_numpy(rows(50)[0]).clamp(-1, 1), seed=0)
    drafts, _ = relaxed.descended(asked_of, drafts, 10, rate=1.0)
    found, _ = relaxed.records(asked_of, drafts)
    assert found[..., GROUPS[0][0]].abs().max() == 0
    assert found[..., :NUMBERS].abs().max() <= 1.0
    for group in GROUPS:
        torch.testing.assert_close(found[..., list(group)].sum(-1), torch.ones(2, 3))


def test_descending_never_ends_worse_than_it_began():
    x, y = rows(3)
    asked_of = problem(made(Embedded), x, y)
    drafts = relaxed.started(asked_of, 3, None, seed=0)
    began = relaxed.residuals(asked_of, *relaxed.records(asked_of, drafts))
    _, ended = relaxed.descended(asked_of, drafts, 5, rate=5.0)
    assert (ended <= began + 1e-6).all()


def test_fixing_categories_never_makes_the_residual_worse():
    x, y = rows(3)
    asked_of = problem(made(Embedded), x, y)
    draft, off = relaxed.descended(asked_of, relaxed.started(asked_of, 1, None, 0), 20, 0.1)
    _, after = relaxed.hardened(asked_of, draft, (0.5, 1.0, 1.0), 10, 0.03)
    assert after <= max(float(off[0]), 1e-9)


def test_starts_that_found_the_same_rows_in_another_order_agree():
    x, y = rows(4)
    y[:] = 1
    asked_of = problem(made(Embedded), x, y)
    logits = 20.0 * torch.from_numpy(x)
    logits[:, :NUMBERS] = torch.from_numpy(x[:, :NUMBERS])
    z = torch.stack([logits, logits[[2, 0, 3, 1]], logits[[3, 2, 1, 0]]])
    drafts = relaxed.Drafts(
        z=z, labels=torch.zeros(3, 4, 2), fixed=torch.zeros(z.shape, dtype=torch.bool)
    )
    together, consistent = relaxed.pooled(asked_of, drafts, 0)
    assert consistent.tolist() == [1.0] * 4
    torch.testing.assert_close(together.z[0][:, :NUMBERS], logits[:, :NUMBERS])
    found, _ = relaxed.records(asked_of, together)
    assert (found[0][:, NUMBERS:] - torch.from_numpy(x)[:, NUMBERS:]).abs().max() < 0.01


def test_a_sure_start_outvotes_two_that_are_not():
    x, y = rows(1)
    asked_of = problem(made(Embedded), x, y)
    z = torch.zeros(3, 1, COLUMNS)
    first, second = GROUPS[0][:2]
    z[0, 0, first], z[1:, 0, second] = 20.0, 0.5
    drafts = relaxed.Drafts(
        z=z, labels=torch.zeros(3, 1, 2), fixed=torch.zeros(z.shape, dtype=torch.bool)
    )
    together, _ = relaxed.pooled(asked_of, drafts, 0)
    assert int(together.z[0, 0, list(GROUPS[0])].argmax()) == 0


@pytest.mark.skipif(not ADULT.exists(), reason="shared/data/adult.parquet is absent")
def test_eight_people_of_adult_are_recovered_from_one_update():
    from adult_people import adult, network

    people = adult()
    chosen = np.random.default_rng(3).choice(len(people.x), 8, replace=False)
    x, y = people.x[chosen], people.y[chosen]
    module = network(people.x.shape[1], "tanh", seed=0)
    challenge = evolve(asked(module, x, y, gradient_of(8), groups=()), groups=people.groups)
    answer = run(challenge)
    np.testing.assert_allclose(in_order(answer.records, answer.labels), in_order(x, y), atol=1e-3)
