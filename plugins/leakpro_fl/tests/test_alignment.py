"""Membership from updates, against brute force, and on clients' updates."""

from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve
from leakpro_fl.alignment import AlignmentOptions, attack, path_of
from leakpro_fl.client import TorchClient, arrays_of
from leakpro_fl.explained import basis, explained, likeliest
from leakpro_fl.per_record import gradients, layout_of
from leakpro_fl.procedure import gradient, own, state_of
from networks import MLP, seeded
from sklearn.metrics import roc_auc_score
from torch import nn

from leakpro_core.errors import NotApplicable
from leakpro_core.games.update_membership import UpdateMembershipChallenge
from leakpro_core.records import Auxiliary, ClientUpdate, Disclosed
from leakpro_core.testing.runs import PlainRun

N, FEATURES = 60, 20
ADULT = Path(__file__).resolve().parents[4] / "shared" / "data" / "adult_audit" / "original.parquet"


class Tokens(nn.Module):
    """An embedding whose mean a linear layer reads; its weight is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(12, 5)
        self.fc = nn.Linear(5, 12)
        self.fc.weight = self.embedding.weight

    def forward(self, x):
        return self.fc(self.embedding(x).mean(1))


class Recurrent(nn.Module):
    """A layer that cannot be mapped over records."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(5, 4, batch_first=True)
        self.fc = nn.Linear(4, 3)

    def forward(self, x):
        return self.fc(self.lstm(x.reshape(len(x), 4, 5))[0][:, -1])


def conv_with_batch_norm() -> nn.Module:
    return nn.Sequential(
        nn.Unflatten(1, (1, 4, 5)),
        nn.Conv2d(1, 12, 3),
        nn.BatchNorm2d(12),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(72, 3),
    )


def mlp() -> nn.Module:
    return MLP(FEATURES, 16, 3)


MODELS = (mlp, conv_with_batch_norm, Recurrent, Tokens)


def people(rng, n, tokens=False):
    if tokens:
        return rng.integers(0, 12, (n, 6)), rng.integers(0, 12, n)
    x = rng.normal(size=(n, FEATURES)).astype(np.float32)
    return x, (x[:, :3] + rng.normal(size=(n, 3))).argmax(1)


def scene(seed=0, make=mlp, rounds=2, out=False, members=N, **disclosed):
    """Return a challenge and who is a member; out: the updates are made of other records."""
    rng = np.random.default_rng(seed)
    module = seeded(make, seed=seed)
    said = Disclosed(**({"kind": "gradient", "examples": members, "mode": "eval"} | disclosed))
    client = TorchClient(module=module, disclosed=said)
    x, y = people(rng, 3 * N + members, make is Tokens)
    trained_on = slice(N, N + members) if not out else slice(-members, None)
    before, made = arrays_of(module), []
    for number in range(rounds):
        update = client.update(before, x[trained_on], y[trained_on], number)
        made.append(ClientUpdate(before=before, values=update))
        before = client.after(before, update)
    asked = rng.permutation(2 * N)
    challenge = UpdateMembershipChallenge(
        ids=np.arange(2 * N),
        records=x[asked],
        labels=y[asked],
        classes=12 if make is Tokens else 3,
        model=module,
        rounds=tuple(made),
        disclosed=said,
        auxiliary=Auxiliary(records=x[2 * N : 3 * N], labels=y[2 * N : 3 * N]),
    )
    return challenge, (asked >= N) & (asked < N + members)


def claims(challenge, seed=0, **options):
    run = PlainRun(seed=seed, scratch=Path())
    return attack(challenge, AlignmentOptions(**options), run).claims


def auc(found, members) -> float:
    return float(roc_auc_score(members, found))


# Gradients of single records


@pytest.mark.parametrize("make", MODELS)
def test_inner_products_are_those_of_gradients_taken_one_by_one(make):
    rng = np.random.default_rng(1)
    module = own(seeded(make, seed=1), train=False)
    tokens = make is Tokens
    x, y = people(rng, 9, tokens)
    x, y = torch.from_numpy(x), torch.from_numpy(y)
    state = state_of(arrays_of(module))
    names = [name for name, _ in module.named_parameters()]
    layout = layout_of(module, state, x, y, names, coordinates=10**6, seed=0)
    found = gradients(module, state, x, y, layout, block=4)
    alone = [gradient(module, state, x[[i]], y[[i]], names) for i in range(9)]
    expected = torch.stack([layout.flat(each) for each in alone])
    assert expected.shape[1] == sum(p.numel() for p in module.parameters())
    np.testing.assert_allclose(found.gram(found), expected @ expected.T, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.norms(), expected.square().sum(1), rtol=1e-4, atol=1e-6)
    vectors = torch.from_numpy(rng.normal(size=(2, expected.shape[1])))
    np.testing.assert_allclose(found.times(vectors), expected @ vectors.T, rtol=1e-4, atol=1e-5)
    some = torch.tensor([7, 2])
    np.testing.assert_allclose(
        found.take(some).gram(found), (expected @ expected.T)[some], rtol=1e-4, atol=1e-6
    )
    assert found.coordinates() >= int(expected.any(0).sum())
    assert ("embedding.weight" in layout.chosen) == tokens  # used twice: no outer product


def test_coordinates_beyond_the_budget_are_left_out():
    module = own(seeded(conv_with_batch_norm, seed=0), train=False)
    x, y = (torch.from_numpy(v) for v in people(np.random.default_rng(0), 4))
    names = [name for name, _ in module.named_parameters()]
    layout = layout_of(module, dict(module.state_dict()), x, y, names, coordinates=72, seed=0)
    assert {name: len(c) for name, c in layout.chosen.items()} == {
        "1.weight": 54,
        "1.bias": 6,
        "2.weight": 6,
        "2.bias": 6,
    }
    assert layout.layer == {"5.weight": "5", "5.bias": "5"}


# The model of an update


def linear_scene(seed=0, n=8, d=15):
    """Return gradients that are the records themselves: a linear model's, and them as a matrix."""
    rng = np.random.default_rng(seed)
    module = own(nn.Linear(d, 2, bias=False), train=False)
    x = torch.from_numpy(rng.normal(size=(n, d)).astype(np.float32))
    y = torch.from_numpy(rng.integers(0, 2, n))
    state = dict(module.state_dict())
    layout = layout_of(module, state, x, y, ["weight"], coordinates=1, seed=0)
    each = gradients(module, state, x, y, layout, block=n)
    alone = [gradient(module, state, x[[i]], y[[i]], ["weight"]) for i in range(n)]
    return each, torch.stack([layout.flat(g) for g in alone]), rng


def test_statistics_are_those_of_the_dense_model_that_leaves_the_record_out():
    each, matrix, rng = linear_scene()
    common = basis(torch.from_numpy(rng.normal(size=(2, matrix.shape[1]))))
    project = torch.eye(matrix.shape[1], dtype=torch.float64) - common.T @ common
    update = project @ torch.from_numpy(rng.normal(size=matrix.shape[1]))
    rows = torch.tensor([0, 2, 3, 5, 7])
    found = explained(each, update, common, rows)
    clean = matrix @ project
    size, vectors = torch.linalg.eigh(clean[rows] @ clean[rows].T)
    along = vectors.T @ (clean[rows] @ update)
    ratio, variance = likeliest(size, along, float(update @ update), each)
    for i in range(len(matrix)):
        others = clean[[j for j in rows.tolist() if j != i]]
        eye = torch.eye(matrix.shape[1], dtype=torch.float64)
        inverse = torch.linalg.inv(variance * (others.T @ others + ratio * eye))
        slope, spread = clean[i] @ inverse @ update, clean[i] @ inverse @ clean[i]
        assert float(slope / spread.sqrt()) == pytest.approx(found[i], rel=1e-3)


def test_the_ratio_of_noise_to_weights_is_where_the_update_is_likeliest():
    each, matrix, rng = linear_scene(seed=3)
    update = matrix.T @ torch.from_numpy(rng.normal(size=len(matrix)))
    update = update + 0.3 * torch.from_numpy(rng.normal(size=len(update)))
    size, vectors = torch.linalg.eigh(matrix @ matrix.T)
    along = vectors.T @ (matrix @ update)
    best = likeliest(size, along, float(update @ update), each)

    def unlikely(ratio, variance):
        eye = torch.eye(len(update), dtype=torch.float64)
        cov = variance * (matrix.T @ matrix + ratio * eye)
        return float(torch.logdet(cov) + update @ torch.linalg.solve(cov, update))

    for factor in (0.5, 0.8, 1.25, 2.0):
        assert unlikely(*best) < unlikely(best[0], best[1] * factor)
        # The grid of ratios has steps of a third.
        assert unlikely(*best) < unlikely(best[0] * factor**2, best[1])


# Clients


LOCAL = {"lr": 0.1, "momentum": 0.5, "batch_size": 20, "epochs": 2, "shuffled": True}


@pytest.mark.parametrize("make", MODELS[:3])
@pytest.mark.parametrize("kind", ["gradient", "delta", "weights"])
def test_one_step_gives_its_records_away(make, kind):
    local = {} if kind == "gradient" else {"lr": 0.1}
    challenge, members = scene(make=make, kind=kind, members=40, **local)
    assert auc(claims(challenge), members) > 0.8


def test_local_training_of_several_epochs_gives_records_away():
    for seed in range(2):
        challenge, members = scene(seed, kind="weights", **LOCAL)
        assert auc(claims(challenge), members) > 0.7
        assert auc(claims(challenge, explain="auxiliary"), members) > 0.55
        assert auc(claims(evolve(challenge, auxiliary=None)), members) > 0.7


def test_a_mean_over_clients_gives_records_away():
    summed, members = scene(kind="delta", rounds=1, lr=0.5, batch_size=10, epochs=3, clients=3)
    assert auc(claims(summed), members) > 0.7


def test_updates_of_other_records_say_nothing():
    found = []
    for seed in range(8):
        challenge, members = scene(seed, out=True, kind="weights", **LOCAL)
        found.append(auc(claims(challenge), members))
    # One AUC of 60 against 60 has a standard deviation of .053.
    assert abs(np.mean(found) - 0.5) < 3 * 0.053 / np.sqrt(8)


def test_what_is_not_disclosed_does_not_matter_for_one_step():
    challenge, _ = scene(kind="delta", lr=0.1, rounds=1)
    unknown = evolve(challenge, disclosed=Disclosed(kind="delta"))
    np.testing.assert_allclose(claims(challenge), claims(unknown), rtol=1e-6, atol=1e-8)


def test_records_that_stand_twice_have_the_same_claim_and_are_found():
    challenge, members = scene(rounds=1)
    twice = np.flatnonzero(members)[:5]
    other = np.flatnonzero(~members)[:5]
    records, labels = challenge.records.copy(), challenge.labels.copy()
    records[other], labels[other] = records[twice], labels[twice]
    found = claims(evolve(challenge, records=records, labels=labels))
    np.testing.assert_array_equal(found[twice], found[other])
    alone = np.setdiff1d(np.flatnonzero(~members), other)
    assert found[twice].min() > np.quantile(found[alone], 0.9)


def test_claims_follow_the_candidates_and_repeat():
    challenge, _ = scene(rounds=1, kind="weights", **LOCAL)
    order = np.random.default_rng(0).permutation(2 * N)
    moved = evolve(challenge, records=challenge.records[order], labels=challenge.labels[order])
    found = claims(challenge)
    np.testing.assert_array_equal(found, claims(challenge))
    np.testing.assert_allclose(claims(moved), found[order], rtol=1e-3, atol=1e-3)


def test_tokens_are_read_as_tokens():
    challenge, members = scene(make=Tokens, rounds=1)
    assert auc(claims(challenge), members) > 0.6


def test_the_last_tensors_alone_say_less():
    challenge, members = scene(rounds=1)
    assert auc(claims(challenge, last=2), members) < auc(claims(challenge), members)


def test_the_model_and_global_state_stay_as_they_were():
    challenge, _ = scene(make=conv_with_batch_norm, rounds=1)
    before = {name: v.clone() for name, v in challenge.model.state_dict().items()}
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    claims(challenge)
    after = challenge.model.state_dict()
    assert all(torch.equal(after[name], v) for name, v in before.items())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert not any(m._forward_hooks for m in challenge.model.modules())


def test_half_way_lies_between_and_a_gradient_has_no_way():
    challenge, _ = scene(kind="delta", rounds=1, lr=0.1)
    before, half, after = path_of(challenge.rounds[0], challenge.disclosed)
    for name, values in challenge.rounds[0].values.items():
        moved = torch.from_numpy(np.array(values))
        np.testing.assert_allclose(after[name], before[name] + moved)
        np.testing.assert_allclose(half[name], before[name] + moved / 2)
    assert len(path_of(challenge.rounds[0], Disclosed(kind="gradient"))) == 1


def test_an_update_of_zeros_and_odd_rounds_are_survived():
    challenge, _ = scene(kind="delta", rounds=2, lr=0.1)
    first = challenge.rounds[0]
    broken = {name: v * np.nan for name, v in first.values.items()}
    odd = (evolve(first, values=broken), challenge.rounds[1])
    assert np.isfinite(claims(evolve(challenge, rounds=odd))).all()
    with pytest.raises(NotApplicable, match="no update without NaN"):
        claims(evolve(challenge, rounds=odd[:1]))
    nothing = evolve(first, values={name: v * 0 for name, v in first.values.items()})
    with pytest.raises(NotApplicable, match="no parameter of the model"):
        claims(evolve(challenge, rounds=(nothing,)))
    with pytest.raises(NotApplicable, match=r"torch\.nn\.Module"):
        claims(evolve(challenge, model=None))


@pytest.mark.skipif(not ADULT.exists(), reason="shared/data/adult_audit is not there")
def test_clients_of_adult_are_given_away_where_the_plain_inner_product_is_silent():
    import pandas as pd

    table = pd.read_parquet(ADULT).head(1200)
    y = table.pop("income").astype(str).str.contains(">50K").to_numpy().astype(np.int64)
    x = pd.get_dummies(table, dtype=float).fillna(0.0)
    x = ((x - x.mean()) / x.std().replace(0, 1)).to_numpy().astype(np.float32)
    module = seeded(MLP, x.shape[1], 32, 2, seed=0)
    said = Disclosed(kind="weights", lr=0.1, batch_size=32, examples=300, shuffled=True)
    before = arrays_of(module)
    update = TorchClient(module=module, disclosed=said).update(before, x[:300], y[:300], 0)
    challenge = UpdateMembershipChallenge(
        ids=np.arange(600),
        records=x[:600],
        labels=y[:600],
        classes=2,
        model=module,
        rounds=(ClientUpdate(before=before, values=update),),
        disclosed=said,
        auxiliary=Auxiliary(records=x[600:900], labels=y[600:900]),
    )
    members = np.arange(600) < 300
    state = dict(module.state_dict())
    names = [name for name, _ in module.named_parameters()]
    moved = {n: torch.from_numpy(update[n] - before[n]).float() for n in names}
    records, labels = torch.from_numpy(x[:600]), torch.from_numpy(y[:600])
    layout = layout_of(module, state, records, labels, names, coordinates=1, seed=0)
    each = gradients(own(module, train=False), state, records, labels, layout, block=256)
    plain = -each.times(layout.flat(moved)[None])[:, 0].numpy()
    assert auc(plain, members) < 0.56
    assert auc(claims(challenge), members) > 0.7
