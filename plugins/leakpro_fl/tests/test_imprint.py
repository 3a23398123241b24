"""A malicious server's imprint: made, read, and noticed by the client."""

from pathlib import Path

import numpy as np
import pytest
import torch
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st
from leakpro_fl.client import TorchClient, arrays_of
from leakpro_fl.imprint import ImprintOptions, attack, imprinted
from leakpro_fl.inspect_model import check, readable
from leakpro_fl.plugin import leakpro_attacks
from networks import MLP, ConvNetBN, ConvNetSmall, LeNet, seeded
from torch import nn

from leakpro_core.errors import BadArray, NotApplicable
from leakpro_core.games.gradient_inversion import InversionChallenge
from leakpro_core.records import Auxiliary, Disclosed
from leakpro_core.testing.runs import PlainRun

FEATURES, CLASSES = 48, 5
KINDS = ("cumulative", "sparse", "trap")


def people(n, seed=0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(FEATURES, FEATURES)) / np.sqrt(FEATURES)
    return (rng.normal(size=(n, FEATURES)) @ mixing).astype(np.float32), rng.integers(0, CLASSES, n)


def known(seed=1):
    x, y = people(800, seed)
    return Auxiliary(records=x, labels=y)


def model(kind="cumulative", bins=128, seed=0, auxiliary=None, **how):
    module = seeded(MLP, FEATURES, 24, CLASSES, seed=seed)
    return imprinted(module, (FEATURES,), bins, seed, auxiliary or known(), kind, **how)


def challenge(module, b=16, seed=5, **said):
    x, y = people(b, seed)
    disclosed = Disclosed(**({"kind": "gradient", "examples": b} | said))
    before = arrays_of(module)
    update = TorchClient(module=module, disclosed=disclosed).update(before, x, y, 0)
    asked = InversionChallenge(
        model=module,
        before=before,
        update=update,
        disclosed=disclosed,
        shape=(FEATURES,),
        classes=CLASSES,
        modality="tabular",
    )
    return asked, x, y


def answer(asked):
    return attack(asked, ImprintOptions(), PlainRun(seed=0, scratch=Path()))


def right(found, x):
    """Return for each reconstruction whether it is a record to three digits, and the nearest."""
    far = np.linalg.norm(found.records[:, None] - x[None], axis=2)
    nearest = far.argmin(axis=1)
    return far.min(axis=1) < 1e-3 * np.linalg.norm(x[nearest], axis=1), nearest


# Reading


@pytest.mark.parametrize("kind", KINDS)
def test_records_alone_in_their_bins_are_read_and_certified_with_their_labels(kind):
    asked, x, y = challenge(model(kind))
    found = answer(asked)
    true, nearest = right(found, x)
    assert len(set(nearest[true])) >= 10
    assert (found.labels == y[nearest])[true].all()
    assert found.certified[true].all()
    assert not found.certified[~true].any()
    assert len(set(nearest[true])) == true.sum()  # each once
    assert found.claims[true].min() > found.claims[~true].max(initial=-np.inf)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 1000), b=st.integers(2, 60), kind=st.sampled_from(KINDS))
def test_what_is_certified_is_a_record(seed, b, kind):
    asked, x, _ = challenge(model(kind, bins=32, seed=seed), b=b, seed=seed)
    found = answer(asked)
    true, _ = right(found, x)
    assert true[found.certified].all()


def test_the_expected_share_of_records_is_alone_among_quantiles():
    b, bins, alone, expected = 24, 64, 0, 0.0
    for seed in range(8):
        asked, x, _ = challenge(model(bins=bins, seed=seed), b=b, seed=seed)
        true, nearest = right(answer(asked), x)
        alone += len(set(nearest[true]))
        expected += b * (1 - 1 / bins) ** (b - 1)
    # A binomial count's standard deviation; thresholds are estimated, so bins are not quite equal.
    assert abs(alone - expected) < 4 * np.sqrt(8 * b * 0.7 * 0.3)


def test_neither_scale_nor_labels_need_be_known():
    asked, _, y = challenge(model())
    unknown = answer(evolve(asked, disclosed=Disclosed(kind="gradient", reduction="sum")))
    np.testing.assert_array_equal(unknown.certified, answer(asked).certified)
    given_labels = answer(evolve(asked, labels=np.sort(y)))
    np.testing.assert_array_equal(given_labels.labels, answer(asked).labels)


def test_weights_after_a_step_are_read_where_the_imprint_is_strong():
    asked, x, _ = challenge(model(strength=30.0), kind="weights", lr=0.1)
    true, nearest = right(answer(asked), x)
    assert len(set(nearest[true])) >= 8


def test_local_training_is_read_by_sparse_bins_without_certificates():
    said = {"kind": "weights", "lr": 0.02, "epochs": 2, "batch_size": 4, "shuffled": True}
    asked, x, _ = challenge(model("sparse", strength=30.0), **said)
    found = answer(asked)
    far = np.linalg.norm(found.records[:, None] - x[None], axis=2) / np.linalg.norm(x, axis=1)
    assert (far.min(axis=0) < 0.05).sum() >= 8
    assert not found.certified.any()


def test_images_keep_their_shape_and_the_model_stays_as_it_was():
    module = seeded(LeNet, seed=0)
    before = {name: value.clone() for name, value in module.state_dict().items()}
    made = imprinted(module, (3, 32, 32), 16, 0)
    assert all(torch.equal(before[name], v) for name, v in module.state_dict().items())
    x = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    assert made(x).shape == (2, 10)
    assert all(p.requires_grad for p in made.parameters())
    asked = challenge(model())[0]
    state = {name: v.clone() for name, v in asked.model.state_dict().items()}
    answer(asked)
    assert all(torch.equal(state[name], v) for name, v in asked.model.state_dict().items())


def test_the_same_seed_makes_the_same_imprint_without_touching_global_generators():
    state = torch.get_rng_state()
    first, second = model(seed=3), model(seed=3)
    other = model(seed=4).imprint.bins.weight
    assert torch.equal(first.imprint.bins.weight, second.imprint.bins.weight)
    assert not torch.equal(first.imprint.bins.weight, other)
    assert torch.equal(torch.get_rng_state(), state)


def test_models_without_an_imprint_and_single_bins_are_refused():
    plain = seeded(MLP, FEATURES, 8, CLASSES, seed=0)
    with pytest.raises(NotApplicable, match="malicious server"):
        answer(challenge(plain)[0])
    asked, _, _ = challenge(model())
    rest = {n: v for n, v in asked.update.items() if not n.startswith("imprint")}
    with pytest.raises(NotApplicable, match="without the imprint's layers"):
        answer(evolve(asked, update=rest))
    with pytest.raises(BadArray, match="at least 2"):
        imprinted(plain, (FEATURES,), 1, 0)


def test_an_update_without_anybody_says_nothing():
    asked, _, _ = challenge(model())
    nothing = {name: np.zeros_like(v) for name, v in asked.update.items()}
    assert answer(evolve(asked, update=nothing)).records.shape == (0, FEATURES)


def test_the_offer_says_that_the_server_is_malicious():
    offer = next(each for each in leakpro_attacks() if each.name == "imprint")
    assert "malicious server" in offer.summary.lower()
    assert offer.ref == "leakpro_fl.imprint:attack"


# The client's check


@pytest.mark.parametrize("bins", [8, 64, 256])
@pytest.mark.parametrize("kind", KINDS)
def test_imprints_of_all_sizes_are_noticed_by_their_weights(kind, bins):
    made = model(kind, bins)
    traces = check(arrays_of(made), made)
    expected = "half negative" if kind == "trap" else "collinear rows"
    assert {each.kind for each in traces if each.layer == "imprint.bins"} == {expected}


def test_equal_steps_rows_out_of_scale_and_twins_are_noticed():
    module = seeded(MLP, FEATURES, 24, 12, CLASSES, seed=0)
    before = arrays_of(module)

    def kinds(**changes):
        return {each.kind for each in check(before | changes, module)}

    assert kinds() == set()
    assert kinds(**{"1.bias": np.linspace(-1, 1, 24)}) == {"steps of thresholds"}
    long = before["1.weight"].copy()
    long[3] *= 1e5
    assert kinds(**{"1.weight": long}) == {"scale"}
    twins, biases = before["1.weight"].copy(), before["1.bias"].copy()
    twins[:6], biases[:6] = twins[6:12], biases[6:12]
    assert kinds(**{"1.weight": twins, "1.bias": biases}) == {"duplicate rows"}
    biases[:6] += 0.5
    assert kinds(**{"1.weight": twins, "1.bias": biases}) == {"collinear rows"}


def test_bins_are_noticed_behind_a_little_noise():
    made = model(bins=64)
    before = arrays_of(made)
    rows = before["imprint.bins.weight"]
    noise = np.random.default_rng(0).normal(size=rows.shape) * 1e-3 * np.abs(rows).mean()
    changed = before | {"imprint.bins.weight": (rows + noise).astype(np.float32)}
    assert "collinear rows" in {each.kind for each in check(changed, made)}


@pytest.mark.parametrize("make", [LeNet, ConvNetSmall, ConvNetBN])
def test_ordinary_networks_are_not_suspected(make):
    for seed in range(2):
        module = seeded(make, seed=seed)
        assert check(arrays_of(module), module) == ()


def test_ordinary_layers_are_not_suspected_whatever_their_start():
    starts = (nn.init.kaiming_normal_, nn.init.xavier_uniform_, nn.init.orthogonal_)
    x, y = people(64)
    for seed, start in enumerate(starts):
        for width in (4, 32, 512):
            module = seeded(MLP, FEATURES, width, CLASSES, seed=seed)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                start(module[1].weight)
            nn.init.zeros_(module[1].bias)
            assert check(arrays_of(module), module, records=x, labels=y) == ()


def test_what_could_be_read_is_what_the_attack_reads():
    for kind in KINDS:
        made = model(kind)
        asked, x, y = challenge(made, b=40)
        true, nearest = right(answer(asked), x)
        (found,) = (
            each for each in readable(arrays_of(made), made, x, y) if each.layer == "imprint.bins"
        )
        assert found.records == 40
        assert abs(found.read - len(set(nearest[true]))) <= 1


def test_a_readable_batch_is_told_and_a_batch_of_an_ordinary_layer_is_not():
    x, y = people(64)
    made = model(bins=512)
    traces = check(arrays_of(made), made, records=x, labels=y)
    said = [each.said for each in traces if each.kind == "readable"]
    assert len(said) == 1
    assert said[0].startswith("a server could read ")
    assert " of 64 records off layer 'imprint.bins'" in said[0]


def test_a_model_without_its_weights_is_refused():
    module = seeded(MLP, FEATURES, 8, CLASSES, seed=0)
    with pytest.raises(BadArray, match=r"no 1\.weight"):
        check({"3.weight": np.zeros((5, 8))}, module)
