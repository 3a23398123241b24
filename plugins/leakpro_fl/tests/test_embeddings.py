from types import SimpleNamespace

import numpy as np
import pytest
import torch
from leakpro_fl.clues import Reader, clues
from leakpro_fl.embeddings import EmbeddingsOptions, attack
from leakpro_fl.mixtures import explained
from leakpro_fl.sequences import places
from leakpro_fl.transformer_span import sites_of, span_of, table_of
from leakpro_torch.modules import threads
from texts import Decoder, Encoder, challenge, exact, made, random_texts, sentences
from torch import nn

from leakpro_core.errors import NotApplicable
from leakpro_core.records import Disclosed

GRADIENT = Disclosed(kind="gradient", examples=3, dtype="float32")
LENGTH = 8
MODELS = {
    "norms after": (Encoder, {"layers": 1}),
    "norms before, masked padding": (Encoder, {"norm_first": True, "padding": 0, "layers": 1}),
    "causal": (Decoder, {}),
    "causal, tied": (Decoder, {"tied": True}),
}


@pytest.fixture(autouse=True)
def one_thread():
    with threads(1):
        yield


def model(name: str = "norms after", **more: object) -> nn.Module:
    kind, options = MODELS[name]
    return made(kind, 0, **{"length": LENGTH, "width": 64, "hidden": 128, **options, **more})


def batch(n: int = 3, padding: int | None = None, texts=random_texts, seed: int = 1):
    rng = np.random.default_rng(seed)
    return texts(rng, n, LENGTH, padding, 4), rng.integers(0, 4, n)


def run(asked, **options):
    return attack(asked, EmbeddingsOptions(alternatives=2, **options), SimpleNamespace(seed=0))


def pairs(tokens, labels):
    return sorted((tuple(row), int(y)) for row, y in zip(tokens.tolist(), labels, strict=True))


def reader_of(module: nn.Module) -> Reader:
    state = {name: v.detach() for name, v in module.state_dict().items()}
    return Reader(
        module=module,
        state=state,
        names=tuple(dict(module.named_parameters())),
        table="tokens.weight",
        vocabulary=1200,
        length=LENGTH,
        classes=4,
    )


@pytest.mark.parametrize("name", MODELS)
def test_texts_and_their_labels_are_recovered_and_certified(name):
    module = model(name)
    tokens, labels = batch(padding=getattr(module, "padding", None), texts=sentences)
    answer = run(challenge(module, tokens, labels, GRADIENT))
    assert pairs(tokens, labels) == pairs(answer.records, answer.labels)
    assert answer.certified.all()
    assert answer.residual < 1e-5


@pytest.mark.parametrize(
    "disclosed",
    [
        Disclosed(kind="delta", examples=3, lr=0.1),
        Disclosed(kind="weights", examples=3, lr=1.0),
        Disclosed(kind="gradient", examples=3, dtype="float16"),
    ],
)
def test_what_is_sent_may_be_a_change_or_weights_or_halves(disclosed):
    tokens, labels = batch()
    answer = run(challenge(model(), tokens, labels, disclosed))
    assert pairs(tokens, labels) == pairs(answer.records, answer.labels)


def test_number_of_records_and_labels_need_not_be_known():
    tokens, labels = batch()
    answer = run(challenge(model(), tokens, labels, GRADIENT, knows=frozenset()))
    assert pairs(tokens, labels) == pairs(answer.records, answer.labels)
    assert answer.certified.all()


def test_without_the_length_of_the_gradient_its_direction_is_enough():
    tokens, labels = batch()
    disclosed = Disclosed(kind="delta", examples=3)
    answer = run(challenge(model(), tokens, labels, disclosed))
    assert pairs(tokens, labels) == pairs(answer.records, answer.labels)


def test_a_text_that_is_there_twice_is_found_twice():
    tokens, labels = batch()
    tokens[2], labels[2] = tokens[0], labels[0]
    answer = run(challenge(model(), tokens, labels, GRADIENT))
    assert pairs(tokens, labels) == pairs(answer.records, answer.labels)


def test_of_several_steps_nothing_is_certified():
    tokens, labels = batch()
    disclosed = Disclosed(kind="delta", examples=3, lr=1e-3, epochs=2, batch_size=3)
    answer = run(challenge(model(), tokens, labels, disclosed))
    assert not answer.certified.any()
    assert "one step" in answer.notes[0]
    assert exact(answer.records, tokens)[1] == 1.0


def test_an_order_that_the_gradient_does_not_tell_is_not_certified():
    module = model()
    nn.init.zeros_(module.positions.weight)
    module.positions = nn.Embedding.from_pretrained(module.positions.weight.detach(), freeze=True)
    tokens, labels = batch(n=1)
    disclosed = Disclosed(kind="gradient", examples=1)
    answer = run(challenge(module, tokens, labels, disclosed))
    assert set(answer.records.ravel()) == set(tokens.ravel())
    assert not answer.certified.any()


def test_a_batch_with_more_tokens_than_the_width_is_refused():
    tokens, labels = batch(n=9)
    disclosed = Disclosed(kind="gradient", examples=9)
    with pytest.raises(NotApplicable, match="fewer tokens in a batch than the model is wide"):
        run(challenge(model(), tokens, labels, disclosed))


def test_a_model_without_an_embedding_of_tokens_is_refused():
    module = nn.Sequential(nn.Linear(LENGTH, 4))
    with pytest.raises(NotApplicable, match=r"nn\.Embedding"):
        table_of(Floating(module), dict(Floating(module).state_dict()), LENGTH)


class Floating(nn.Module):
    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, tokens):
        return self.inner(tokens.float())


def test_the_model_is_not_changed_and_the_same_seed_says_the_same():
    module = model()
    tokens, labels = batch()
    asked = challenge(module, tokens, labels, GRADIENT)
    before = {name: v.clone() for name, v in module.state_dict().items()}
    first, again = run(asked), run(asked)
    assert all(torch.equal(before[name], v) for name, v in module.state_dict().items())
    assert not any(part._forward_pre_hooks for part in module.modules())
    assert np.array_equal(first.records, again.records)
    assert np.array_equal(first.claims, again.claims)


def test_sites_are_found_by_running_the_model():
    encoder, decoder = reader_of(model()), reader_of(model("causal", layers=1))
    said = [
        [
            (site.module, site.local, site.causal)
            for site in sites_of(r.module, r.state, 1200, LENGTH, 0)
        ]
        for r in (encoder, decoder)
    ]
    assert said[0] == [
        ("body.layers.0.self_attn", True, True),
        ("body.layers.0.linear1", False, False),
        ("body.layers.0.linear2", False, False),
    ]
    assert said[1] == [
        ("blocks.0.query", True, True),
        ("blocks.0.out", False, True),
        ("blocks.0.up", False, True),
        ("blocks.0.down", False, True),
    ]


def test_queries_keys_and_values_of_one_input_are_one_site():
    reader = reader_of(model("causal", layers=1))
    first = sites_of(reader.module, reader.state, 1200, LENGTH, 0)[0]
    assert first.weights == tuple(f"blocks.0.{n}.weight" for n in ("query", "key", "value"))


def test_places_are_those_of_the_tokens_that_stood_there():
    reader = reader_of(model("norms before, masked padding"))
    tokens, labels = batch(padding=0)
    update = reader.gradient(torch.from_numpy(tokens), torch.from_numpy(labels))
    found = clues(reader, update, tokens.size, 0, 0)
    there = places(reader, found, torch.arange(400))
    assert found.padding == 0
    assert [{t for t in column if 0 < t < 400} for column in tokens.T.tolist()] == [
        set(t.tolist()) for t in there
    ]


def test_a_last_layer_that_reads_the_last_token_tells_of_no_other():
    reader = reader_of(model("causal"))
    tokens, labels = batch()
    update = reader.gradient(torch.from_numpy(tokens), torch.from_numpy(labels))
    seen = {
        clue.site.module: clue.visible.tolist()
        for clue in clues(reader, update, tokens.size, 0, 0).later
    }
    assert seen["blocks.0.up"] == [True] * LENGTH
    assert "blocks.1.up" not in seen


@pytest.mark.parametrize("noise", [1e-9, 1e-4])
def test_the_span_of_noisy_rows_has_the_rank_of_what_is_below_the_noise(noise):
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((12, 40))
    rows = rng.standard_normal((90, 12)) @ vectors + noise * rng.standard_normal((90, 40))
    span = span_of(torch.from_numpy(rows))
    assert len(span.basis) == 12
    assert not span.full
    assert float(span.outside(torch.from_numpy(vectors)).max()) < 10 * noise
    assert float(span.outside(torch.from_numpy(rng.standard_normal((50, 40)))).min()) > 0.5


def test_a_full_span_is_said_to_be_full():
    rng = np.random.default_rng(0)
    assert span_of(torch.from_numpy(rng.standard_normal((90, 40)))).full


def test_the_batch_is_the_best_of_all_that_can_be_made_of_candidates():
    reader = reader_of(model(layers=1))
    tokens, _ = batch(n=4)
    rows = torch.from_numpy(tokens)
    truth = rows[[0, 0, 2]], torch.tensor([1, 3, 0])
    update = {n: v.double() for n, v in reader.gradient(*truth).items()}
    found = explained(reader, rows, update, labels=None, examples=None, scaled=True, seed=0)
    assert pairs(truth[0], truth[1]) == pairs(found.records, found.labels)
    assert found.residual < 1e-6
