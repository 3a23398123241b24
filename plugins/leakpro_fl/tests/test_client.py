"""A client of PyTorch sends what its clients' training gives, and a server's model follows."""

import io
from pathlib import Path

import models
import networks
import numpy as np
import pytest
import torch
from attrs import evolve
from leakpro_fl import describe
from leakpro_fl.client import TorchClient, arrays_of, as_inputs, buffers_of
from leakpro_fl.defences import defended
from leakpro_fl.describe import Form
from leakpro_fl.procedure import Steps, gradient, order, own, state_of, trained
from leakpro_torch.modules import threads
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn

from leakpro_core.errors import BadArray, TrainingFailed
from leakpro_core.protocols import Client, Describing, Native
from leakpro_core.records import Disclosed

X, Y = models.batch()


@pytest.fixture(autouse=True)
def one_thread():
    """Sums of several threads are rounded otherwise, and a client uses one."""
    with threads(1):
        yield


def client(module=None, **said):
    return TorchClient(
        module=models.mlp() if module is None else module,
        disclosed=Disclosed(**{"kind": "gradient"} | said),
    )


def sent(module, seed=1, x=X, y=Y, **said):
    return client(module, **said).update(arrays_of(module), x, y, seed)


def names_of(module):
    return [name for name, _ in module.named_parameters()]


def test_the_handle_is_a_client_native_and_describing():
    made = client()
    assert isinstance(made, Client)
    assert isinstance(made, Native)
    assert isinstance(made, Describing)
    assert made.native() is made.module


def test_a_gradient_is_that_of_the_records_by_parameter():
    module = models.with_batch_norm()
    found = sent(module, mode="train")
    expected = gradient(
        own(module, train=True),
        state_of(arrays_of(module)),
        torch.from_numpy(X),
        torch.from_numpy(Y),
        names_of(module),
    )
    assert list(expected) == list(found)
    for name, values in expected.items():
        assert np.array_equal(values.numpy(), found[name])
    assert {np.dtype(np.float32)} == {v.dtype for v in found.values()}


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_weights_are_those_after_local_training_to_the_bit(mode):
    module = models.with_batch_norm()
    how = Steps(lr=0.1, momentum=0.9, epochs=2, batch_size=4)
    said = {"lr": 0.1, "momentum": 0.9, "epochs": 2, "batch_size": 4, "mode": mode}
    found = sent(module, kind="weights", **said)
    state = state_of(arrays_of(module))
    x, y = torch.from_numpy(X), torch.from_numpy(Y)
    inside = own(module, train=mode == "train")
    expected = trained(inside, state, x, y, names_of(module), how, order(12, how, None))
    assert list(module.state_dict()) == list(found)
    for name, values in expected.items():
        assert np.array_equal(values.numpy(), found[name])
        assert found[name].dtype == arrays_of(module)[name].dtype
    moved = not np.array_equal(found["1.running_mean"], arrays_of(module)["1.running_mean"])
    assert moved is (mode == "train")


def test_weights_are_the_weights_before_and_the_delta():
    module = models.with_batch_norm()
    delta = sent(module, kind="delta", lr=0.1, epochs=2, batch_size=6, mode="train")
    weights = sent(module, kind="weights", lr=0.1, epochs=2, batch_size=6, mode="train")
    before = arrays_of(module)
    for name, values in weights.items():
        np.testing.assert_allclose(before[name] + delta[name], values, atol=1e-7)
    assert delta["1.num_batches_tracked"] == 4


@pytest.mark.parametrize("kind", ["delta", "weights"])
def test_the_model_after_a_round_is_the_clients(kind):
    module = models.with_batch_norm()
    made = client(module, kind=kind, lr=0.1, epochs=2)
    before = arrays_of(module)
    after = made.after(before, made.update(before, X, Y, 1))
    expected = sent(module, kind="weights", lr=0.1, epochs=2)
    assert list(before) == list(after)
    for name, values in expected.items():
        np.testing.assert_allclose(values, after[name], atol=1e-7)
        assert before[name].dtype == after[name].dtype


@pytest.mark.parametrize(("lr", "step"), [(0.5, 0.5), (None, 1.0)])
def test_a_server_takes_a_step_of_a_gradient(lr, step):
    module = models.with_batch_norm()
    made = client(module, lr=lr)
    before = arrays_of(module)
    update = made.update(before, X, Y, 1)
    after = made.after(before, update)
    for name, values in before.items():
        moved = step * update[name] if name in update else 0
        np.testing.assert_allclose(values - moved, after[name], atol=1e-7)


def test_buffers_beside_a_gradient_replace_those_before():
    module = models.with_batch_norm()
    before = arrays_of(module)
    after = client(module).after(before, {"1.running_mean": np.full(8, 7.0)})
    assert np.array_equal(np.full(8, 7.0), after["1.running_mean"])
    assert np.array_equal(before["0.weight"], after["0.weight"])


def test_what_clients_send_is_the_mean_of_what_each_sends():
    module = models.mlp()
    said = {"kind": "delta", "lr": 0.1, "batch_size": 2, "epochs": 2}
    found = sent(module, clients=3, **said)
    each = [sent(module, x=X[rows], y=Y[rows], **said) for rows in np.split(np.arange(12), 3)]
    for name in found:
        np.testing.assert_allclose(np.mean([e[name] for e in each], axis=0), found[name], atol=1e-7)


def test_each_client_clips_and_draws_noise_of_its_own():
    module = models.mlp()
    clean = sent(module, clients=12, clip=1e-6)
    length = np.sqrt(sum((v.astype(float) ** 2).sum() for v in clean.values()))
    assert 0 < length < 1e-6  # a mean of directions of that length
    noisy = sent(module, clients=12, clip=1e-6, noise=1e6)
    values = np.concatenate([v.ravel() for v in noisy.values()])
    assert abs(values.std() * np.sqrt(12) - 1) < 0.2


def test_of_more_clients_than_records_some_have_none():
    module = models.mlp()
    found = sent(module, x=X[:2], y=Y[:2], clients=5)
    expected = sent(module, x=X[:2], y=Y[:2], clients=2)
    assert all(np.array_equal(expected[name], found[name]) for name in expected)


def test_defences_change_the_change_and_weights_are_sent_with_it():
    module = models.mlp()
    said = {"lr": 0.1, "clip": 0.01, "pruned": 0.5, "bits": 4}
    found = sent(module, kind="weights", **said)
    before = arrays_of(module)
    plain = sent(module, kind="weights", lr=0.1)
    change = {n: torch.from_numpy(plain[n].astype(float) - before[n]) for n in before}
    rng = torch.Generator().manual_seed(0)
    expected = defended(change, Disclosed(kind="weights", **said), rng)
    for name, values in expected.items():
        np.testing.assert_allclose(before[name] + values.numpy(), found[name], atol=1e-8)


def test_weights_are_rounded_to_the_dtype_that_they_are_sent_in():
    module = models.with_batch_norm()
    plain = sent(module, kind="weights", lr=0.1)
    half = sent(module, kind="weights", lr=0.1, dtype="float16")
    for name, values in plain.items():
        if values.dtype.kind == "f":
            assert np.array_equal(values.astype(np.float16).astype(np.float32), half[name])
    assert np.float64 == sent(module, dtype="float64")["3.bias"].dtype


def test_the_same_seed_sends_the_same_and_another_shuffles_anew():
    module = models.mlp()
    said = {"kind": "delta", "lr": 0.1, "batch_size": 4, "shuffled": True, "epochs": 2}
    first, again, other = (sent(module, seed, **said)["2.bias"] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_dropout_draws_from_the_seed_and_leaves_the_global_state():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 8), nn.Dropout(0.5), nn.Linear(8, 5))
    before = torch.get_rng_state()
    first, again, other = (sent(module, seed, mode="train")["2.weight"] for seed in (1, 1, 2))
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    calm, still = (sent(module, seed, mode="eval")["2.weight"] for seed in (1, 2))
    assert np.array_equal(calm, still)


def test_a_client_changes_neither_its_module_nor_the_model_that_it_is_given():
    module = models.with_batch_norm()
    kept = {name: value.clone() for name, value in module.state_dict().items()}
    before = arrays_of(module)
    copies = {name: value.copy() for name, value in before.items()}
    client(module, kind="weights", lr=0.1, mode="train").update(before, X, Y, 0)
    assert all(torch.equal(kept[name], value) for name, value in module.state_dict().items())
    assert all(np.array_equal(copies[name], before[name]) for name in before)
    assert all(p.requires_grad for p in module.parameters())


def test_parameters_that_need_no_gradient_stay_and_have_none():
    module = models.mlp()
    module[0].requires_grad_(False)
    assert list(sent(module)) == ["2.weight", "2.bias"]
    delta = sent(module, kind="delta", lr=0.1, weight_decay=0.1, noise=0.1)
    assert not delta["0.weight"].any()
    assert delta["2.weight"].any()


def test_a_tensor_with_two_names_goes_by_the_first():
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 6), nn.Tanh(), nn.Linear(6, 6), nn.Linear(6, 5))
    module[2].weight = module[0].weight
    assert "2.weight" not in arrays_of(module)
    assert buffers_of(module) == ()
    found = sent(module)
    nn.functional.cross_entropy(module(torch.from_numpy(X)), torch.from_numpy(Y)).backward()
    np.testing.assert_allclose(module[0].weight.grad.numpy(), found["0.weight"], atol=1e-6)


def test_what_a_client_did_not_disclose_it_does_as_torch_does():
    module = models.mlp()
    assert all(
        np.array_equal(a, b)
        for a, b in zip(
            sent(module, kind="delta").values(),
            sent(module, kind="delta", lr=0.1, mode="train").values(),
            strict=True,
        )
    )


def test_tokens_are_integers_where_the_model_embeds_them_and_floats_elsewhere():
    embeds = nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(12, 5))
    tokens = np.array([[1, 2, 3]], dtype=np.int32)
    assert torch.int64 == as_inputs(embeds, tokens).dtype
    assert torch.float32 == as_inputs(models.mlp(), tokens).dtype
    assert torch.float32 == as_inputs(embeds, tokens.astype(np.float64)).dtype
    found = sent(embeds, x=np.array([[1, 2, 3], [4, 1, 1]]), y=Y[:2])
    assert np.flatnonzero(found["0.weight"].any(1)).tolist() == [1, 2, 3, 4]


def test_a_buffer_of_booleans_is_sent():
    module = models.mlp()
    module.register_buffer("mask", torch.tensor([True, False]))
    for kind in ("delta", "weights"):
        made = client(module, kind=kind, lr=0.1)
        before = arrays_of(module)
        after = made.after(before, made.update(before, X, Y, 0))
        assert np.array_equal([True, False], after["mask"])
        assert np.bool_ == after["mask"].dtype


def test_records_that_the_model_cannot_take_are_refused_in_one_line():
    with pytest.raises(BadArray, match="cannot be trained on records of shape"):
        sent(models.mlp(), x=np.zeros((2, 7), np.float32), y=Y[:2])
    with pytest.raises(BadArray, match="at least two records"):
        sent(models.with_batch_norm(), x=X[:1], y=Y[:1], mode="train")


def test_training_that_diverges_is_said():
    with pytest.raises(TrainingFailed, match="NaN or an infinite value in its update of"):
        sent(models.mlp(), kind="delta", lr=1e30, epochs=5)


# Descriptions.


def images(n=3, channels=3, side=16, seed=0):
    return np.random.default_rng(seed).random((n, channels, side, side)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_and_ssim_are_those_of_scikit_image(channels):
    there, here = images(channels=channels), images(channels=channels, seed=1)
    found = describe.fidelity(there, here, Form())
    for row in range(3):
        a, b = there[row].astype(float), here[row].astype(float)
        expected = peak_signal_noise_ratio(a, b, data_range=1.0)
        assert abs(expected - found["PSNR (dB)"][row]) < 1e-9
        expected = structural_similarity(a, b, data_range=1.0, channel_axis=0)
        assert abs(expected - found["SSIM"][row]) < 1e-9


def test_images_are_compared_after_denormalisation_and_clamped():
    mean, std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.25)
    shift, scale = (np.array(v, np.float32).reshape(3, 1, 1) for v in (mean, std))
    there, here = images(), images(seed=1) * 3 - 1
    normalised = describe.fidelity(
        (there - shift) / scale, (here - shift) / scale, Form(mean=mean, std=std)
    )
    plain = describe.fidelity(there, np.clip(here, 0, 1), Form())
    for name, values in plain.items():
        np.testing.assert_allclose(normalised[name], values, atol=1e-4)


def test_equal_images_have_the_largest_finite_psnr():
    found = describe.fidelity(images(), images(), Form())
    assert found["PSNR (dB)"].tolist() == [200.0] * 3
    assert found["SSIM"].tolist() == [1.0] * 3
    assert list(describe.fidelity(images(side=2), images(side=2), Form())) == ["PSNR (dB)"]
    assert "SSIM" in describe.fidelity(images(side=4), images(side=4), Form())


def test_rows_are_compared_by_column_a_group_by_its_largest():
    form = Form(groups=((1, 2, 3),), std=(1.0,))
    there = np.array([[0.5, 1, 0, 0, 7.0], [0.5, 0, 1, 0, 7.0]])
    here = np.array([[0.54, 0.6, 0.5, 0, 7.0], [0.56, 0.6, 0.5, 0, 7.0]])
    found = describe.fidelity(there, here, form)
    np.testing.assert_allclose([1.0, 1 / 3], found["columns right (share)"])
    assert found["whole row right (share)"].tolist() == [1.0, 0.0]


def test_without_a_deviation_that_of_the_records_is_taken():
    there = np.array([[0.0, 3.0], [100.0, 3.0], [200.0, 3.0]])
    found = describe.fidelity(there, there + np.array([4.0, 0.04]), Form())
    assert found["columns right (share)"].tolist() == [1.0] * 3
    found = describe.fidelity(there, there + np.array([5.0, 0.06]), Form())
    assert found["columns right (share)"].tolist() == [0.0] * 3


def test_texts_are_compared_by_token():
    embeds = nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(12, 5))
    made = client(embeds)
    found = made.fidelity(np.array([[1, 2, 3], [1, 2, 3]]), np.array([[1, 2, 4], [1, 2, 3]]))
    np.testing.assert_allclose([2 / 3, 1.0], found["tokens right (share)"])
    assert found["whole text right (share)"].tolist() == [0.0, 1.0]
    assert made.shown(np.array([1, 2, 3])) == "1, 2, 3"


def test_guesses_without_numbers_are_described_all_the_same():
    nothing = np.full((2, 3, 8, 8), np.nan, np.float32)
    assert np.isnan(describe.fidelity(images(2, side=8), nothing, Form())["PSNR (dB)"]).all()
    assert describe.shown(nothing[0], Form()).startswith(b"\x89PNG")
    assert describe.fidelity(X[:1], np.full((1, 6), np.nan), Form())[
        "columns right (share)"
    ].tolist() == [0.0]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_an_image_is_shown_as_png_to_the_pixel(channels, mode):
    image = images(channels=channels)[0]
    made = evolve(client(), disclosed=Disclosed(kind="gradient", mean=(0.5,), std=(0.25,)))
    shown = Image.open(io.BytesIO(made.shown((image - 0.5) / 0.25)))
    assert (mode, (16, 16)) == (shown.mode, shown.size)
    expected = np.rint(255 * image).astype(int)
    found = np.asarray(shown).reshape(16, 16, channels)
    assert np.abs(np.moveaxis(expected, 0, 2) - found).max() <= 1


def test_rows_are_shown_as_text_a_group_by_its_category():
    form = Form(groups=((1, 2, 3),))
    assert describe.shown(np.array([0.5, 0, 1, 0, 7.0]), form) == "0.5, columns 1-3: 1, 7"
    assert describe.shown(np.arange(100.0), Form()).endswith("63, and 36 more")
    rounding = np.array([-6.038e-19, -0.0, -1e-9, 0.5])
    assert describe.shown(rounding, Form()) == "0, 0, 0, 0.5"
    assert describe.shown(rounding[:3], Form(std=(1.0, 1.0, 1.0))) == "0, 0, 0"
    assert describe.shown(np.array([2e-9, -1e-9, np.nan]), Form()) == "2e-09, -1e-09, nan"
    assert describe.shown(np.array([[1.0, 2.0], [3.0, 4.0]]), Form()) == "1, 2, 3, 4"
    gap = describe.fidelity(np.zeros((1, 2, 2)), np.ones((1, 2, 2)) * 2, Form())
    assert {name: values.tolist() for name, values in gap.items()} == {"RMSE": [2.0]}


def test_bytes_are_compared_and_shown_as_values_from_0_to_255():
    there = np.full((1, 3, 4, 4), 51, np.uint8)
    found = describe.fidelity(there, there + 25.5, Form())
    np.testing.assert_allclose([20.0], found["PSNR (dB)"])
    image = np.full((3, 4, 4), 51, np.uint8)
    assert np.asarray(Image.open(io.BytesIO(describe.shown(image, Form()))))[0, 0, 0] == 51


REFERENCE = Path(__file__).resolve().parents[4] / "shared" / "reference" / "gradients.npz"


@pytest.mark.skipif(not REFERENCE.exists(), reason="the reference gradients are not here")
@pytest.mark.parametrize(
    ("case", "make"),
    [
        ("lenetzhu_b4", networks.LeNet),
        ("convnetsmall32_b1", networks.ConvNetSmall),
        ("convnetbn16_b1", networks.ConvNetBN),
    ],
)
def test_gradients_of_networks_are_those_of_the_reference(case, make):
    with np.load(REFERENCE) as held:
        part = {n.removeprefix(f"{case}/"): held[n] for n in held.files if n.startswith(case)}
    before = {n.removeprefix("state/"): v for n, v in part.items() if n.startswith("state/")}
    said = Disclosed(kind="gradient", mode="eval", mean=tuple(part["mean"]), std=tuple(part["std"]))
    made = TorchClient(module=make(), disclosed=said)
    records = part["inputs_normalised_nchw"]
    found = made.update(before, records, part["labels"], 0)
    expected = {n.removeprefix("grad/"): v for n, v in part.items() if n.startswith("grad/")}
    assert set(expected) == set(found)
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=1e-3, atol=1e-5)
    shown = np.asarray(Image.open(io.BytesIO(made.shown(records[0]))))
    assert np.abs(shown.astype(int) - part["images_uint8_nhwc"][0]).max() <= 1
