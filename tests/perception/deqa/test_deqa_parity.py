"""The perceiver against the plain reference, stage by stage, from the image on."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import sentencepiece
import torch
from tests.perception.deqa import reference
from tests.perception.deqa.checkpoint import TINY, official_weights, tiny_config, write_config, write_shards

from clearair.perception.deqa.decoder import RMSNorm
from clearair.perception.deqa.perceiver import load_deqa

BEFORE = "USER: How would you rate the quality of this image?\n"
AFTER = "\nASSISTANT: The quality of the image is"
LEVELS = ("excellent", "good", "fair", "poor", "bad")
TOLERANCES = {"vision": 1e-5, "tokens": 5e-5, "hidden": 2e-5, "logits": 2e-5}
SCORE = 5e-6


def stages(image: PIL.Image.Image, w, c, tokenizer: bytes) -> dict[str, np.ndarray]:
    words = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
    before = [words.bos_id(), *words.encode(BEFORE)]
    levels = [words.encode(word)[0] for word in LEVELS]
    seen = reference.vision(reference.pixels(image, 42), w, c)
    tokens = reference.visual_tokens(seen, w, c)
    hidden = reference.hidden_state(tokens, before, words.encode(AFTER), w, c)
    logits = reference.level_logits(hidden, levels, w)
    return {"vision": seen, "tokens": tokens, "hidden": hidden, "logits": logits}


@pytest.fixture(scope="session")
def expected(weights, tokenizer, photos):
    w = {name: value.double().numpy() for name, value in weights.items()}
    return [stages(photo, w, TINY, tokenizer) for photo in photos]


def ours(deqa, photos) -> dict[str, np.ndarray]:
    with torch.inference_mode():
        pixels = deqa._pixels(photos)
        seen = deqa.network.model.vision_model(pixels)
        tokens = deqa.network.model.look(pixels)
        hidden, logits = deqa.network(pixels, deqa.prompt)
    values = {"vision": seen, "tokens": tokens, "hidden": hidden, "logits": logits}
    return {name: value.numpy() for name, value in values.items()}


def largest_error(found: dict[str, np.ndarray], expected, stage: str) -> float:
    return float(np.abs(found[stage] - np.stack([each[stage] for each in expected])).max())


@pytest.mark.parametrize(("stage", "tolerance"), TOLERANCES.items())
def test_every_stage_agrees_with_the_reference(deqa, photos, expected, stage, tolerance):
    assert largest_error(ours(deqa, photos), expected, stage) < tolerance


def test_score_levels_and_embedding_agree_with_the_reference(deqa, photos, expected):
    quality = deqa.assess(photos)
    assert quality.score.shape == (7,)
    assert quality.levels.shape == (7, 5)
    assert quality.embedding.shape == (7, 32)
    np.testing.assert_allclose(quality.score, [reference.score(x["logits"]) for x in expected], atol=SCORE)
    levels = [reference.softmax(x["logits"]) for x in expected]
    np.testing.assert_allclose(quality.levels, levels, atol=SCORE)
    np.testing.assert_allclose(quality.embedding, [x["hidden"] for x in expected], atol=TOLERANCES["hidden"])


def test_the_tiny_model_tells_images_and_levels_apart(expected):
    scores = [reference.score(each["logits"]) for each in expected]
    assert np.std(scores) > 100 * SCORE
    assert all(np.std(each["logits"]) > 0.1 for each in expected)


NO_EFFECT = "model.layers.2.post_attention_layernorm.multiway.1"
"""What the last layer makes of visual tokens is never looked at."""


def shows(deqa, photos, expected) -> bool:
    """Whether any stage is outside its tolerance."""
    found = ours(deqa, photos)
    return any(largest_error(found, expected, stage) > limit for stage, limit in TOLERANCES.items())


def test_another_eps_in_any_norm_would_show(deqa, photos, expected):
    kinds = (torch.nn.LayerNorm, RMSNorm)
    norms = {name: module for name, module in deqa.network.named_modules() if isinstance(module, kinds)}
    assert len(norms) == 1 + 2 * 2 + 1 + 2 * 4 + 3 * 4 + 1
    unseen = []
    for name, module in norms.items():
        right = module.eps
        module.eps = 1e-6 if right > 5e-6 else 1e-5
        if not shows(deqa, photos, expected):
            unseen.append(name)
        module.eps = right
    assert unseen == [NO_EFFECT]


def test_every_tensor_is_used(deqa, photos, expected):
    unused = []
    for name, value in deqa.network.state_dict().items():
        kept = value.clone()
        value += torch.linspace(0, 0.5, value.numel()).reshape(value.shape)
        if not shows(deqa, photos[:2], expected[:2]):
            unused.append(name)
        value.copy_(kept)
    # A bias of all keys adds the same to every score, which a softmax does not see.
    cross = [f"model.visual_abstractor.encoder.layers.{n}.crossattention" for n in range(2)]
    assert unused == [*(f"{name}.attention.key.bias" for name in cross), f"{NO_EFFECT}.weight"]
    assert not shows(deqa, photos, expected)


@pytest.mark.parametrize("change", [{"num_key_value_heads": 2}, {"rope_theta": 50.0}])
def test_heads_may_share_keys_and_values_and_turn_at_another_rate(change, tmp_path, photos, tokenizer):
    config = tiny_config(**change)
    weights = official_weights(config, seed=3)
    write_shards(tmp_path, weights)
    write_config(tmp_path, config)
    (tmp_path / "tokenizer.model").write_bytes(tokenizer)
    w = {name: value.double().numpy() for name, value in weights.items()}
    expected = [stages(photos[0], w, config, tokenizer)]
    assert not shows(load_deqa(tmp_path), photos[:1], expected)


def test_a_batch_gives_what_single_images_give(deqa, photos):
    together = deqa.assess(photos)
    for index, photo in enumerate(photos):
        np.testing.assert_allclose(deqa.assess([photo]).embedding[0], together.embedding[index], atol=1e-5)


def test_the_same_images_give_the_same_bits(deqa, photos):
    first, second = deqa.assess(photos), deqa.assess(photos)
    np.testing.assert_array_equal(first.embedding, second.embedding)
    np.testing.assert_array_equal(first.score, second.score)


def test_no_images_give_no_answers(deqa):
    quality = deqa.assess([])
    assert (quality.score.shape, quality.levels.shape, quality.embedding.shape) == ((0,), (0, 5), (0, 32))


@pytest.mark.parametrize(("precision", "tolerance"), [("bf16", 0.1), ("fp16", 0.02)])
def test_16_bits_give_nearly_the_same_score(folder, photos, expected, precision, tolerance):
    deqa = load_deqa(folder, precision=precision)
    assert {value.element_size() for value in deqa.network.state_dict().values()} == {2}
    quality = deqa.assess(photos)
    assert quality.score.dtype == quality.embedding.dtype == np.float32
    np.testing.assert_allclose(
        quality.score, [reference.score(x["logits"]) for x in expected], atol=tolerance
    )
    np.testing.assert_allclose(quality.levels.sum(axis=1), 1, atol=1e-6)
