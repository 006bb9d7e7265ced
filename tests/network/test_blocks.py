import math

import pytest
import torch
import torch.nn.functional as F

from clearair.network.blocks import ChannelAttention, ConvBlock, make_block
from clearair.network.degradation import ContentTokens, DegradationGuidance, DegradationPrompt, spread
from clearair.network.layers import LayerNorm, to_maps, to_pixels
from clearair.network.quality import QualityGuidance
from clearair.network.regions import membership


@pytest.mark.parametrize("kind", ["restormer", "gated", "conv"])
@pytest.mark.parametrize("size", [(1, 1), (5, 8)])
def test_every_block_keeps_the_shape(kind, size):
    block = make_block(kind, 8, 2, 2.0, bias=True, norm_bias=True)
    x = torch.randn(2, 8, *size)
    assert block(x).shape == x.shape


@pytest.mark.parametrize("kind", ["restormer", "gated", "conv"])
def test_a_block_whose_outputs_are_zero_is_the_identity(kind):
    block = make_block(kind, 8, 2, 2.0, bias=False, norm_bias=True)
    for name, parameter in block.named_parameters():
        if "project_out" in name or "ffn_out" in name:
            torch.nn.init.zeros_(parameter)
    x = torch.randn(1, 8, 6, 6)
    assert torch.equal(block(x), x)


def test_conv_block_by_hand():
    block = ConvBlock(2, bias=False, padding="zeros")
    with torch.no_grad():
        block.mix.weight.zero_()
        block.mix.weight[0, 1, 1, 1], block.mix.weight[1, 0, 1, 1] = 1.0, -1.0
        block.project_out.weight.copy_(torch.tensor([[[[10.0]], [[0.0]]], [[[0.0]], [[10.0]]]]))
    x = torch.tensor([2.0, 3.0]).view(1, 2, 1, 1)
    assert block(x).flatten().tolist() == [2.0 + 10 * 3.0, 3.0]  # relu(-2) = 0


def test_channel_attention_by_hand():
    torch.manual_seed(0)
    module = ChannelAttention(4, 2, bias=False, padding="zeros").double()
    x = torch.randn(1, 4, 3, 5, dtype=torch.float64)
    q, k, v = module.qkv_dwconv(module.qkv(x)).chunk(3, dim=1)
    parts = []
    for head in range(2):
        qh, kh, vh = (t[0, 2 * head : 2 * head + 2].reshape(2, 15) for t in (q, k, v))
        attention = torch.stack(
            [torch.stack([F.cosine_similarity(qh[i], kh[j], dim=0) for j in range(2)]) for i in range(2)]
        )
        parts.append((attention * module.temperature[head, 0, 0]).softmax(dim=1) @ vh)
    expected = module.project_out(torch.cat(parts).view(1, 4, 3, 5))
    assert torch.allclose(module(x), expected, atol=1e-12)


def test_layer_norm_with_bias_is_pytorchs():
    x = torch.randn(2, 6, 3, 4)
    expected = F.layer_norm(x.permute(0, 2, 3, 1), (6,)).permute(0, 3, 1, 2)
    assert torch.allclose(LayerNorm(6)(x), expected, atol=1e-6)


def test_layer_norm_without_bias_keeps_the_mean():
    x = torch.randn(1, 6, 3, 4) + 5
    deviation = (x.var(dim=1, keepdim=True, unbiased=False) + 1e-5).sqrt()
    assert torch.allclose(LayerNorm(6, bias=False)(x), x / deviation, atol=1e-5)


def test_pixels_and_maps_are_opposites():
    x = torch.randn(2, 3, 4, 5)
    assert torch.equal(to_maps(to_pixels(x), 4, 5), x)


def test_quality_guidance_starts_as_the_identity_and_follows_eq_4():
    module = QualityGuidance(2, 3)
    x, quality = torch.randn(1, 2, 4, 4), torch.tensor([[1.0, 2.0, 3.0]])
    assert torch.equal(module(x, quality), x)
    with torch.no_grad():
        module.to_scale.weight.fill_(0.5)
        module.to_shift.weight.fill_(0.1)
    assert torch.allclose(module(x, quality), x * 4.0 + 0.6, atol=1e-6)


def test_a_prompt_is_a_mixture_of_the_transformed_prompts():
    module = DegradationPrompt(5, prompts=3, prompt_dim=4)
    transformed = module.transform(module.prompts)
    mixed = module(torch.randn(2, 7, 5))
    assert mixed.shape == (2, 7, 4)
    assert torch.all(mixed <= transformed.amax(dim=0) + 1e-6)
    assert torch.all(mixed >= transformed.amin(dim=0) - 1e-6)


def test_other_damage_gives_another_mixture_of_prompts_from_the_start():
    # Embeddings have length one: their entries are far below those for which layers are initialised.
    module = DegradationPrompt(64, prompts=8, prompt_dim=64)
    damage = F.normalize(torch.randn(16, 1, 64), dim=-1)
    weights = module.to_weights(damage).softmax(dim=-1)  # (16, 1, 8)
    entropy = -(weights * weights.log()).sum(dim=-1).mean() / math.log(8)
    assert entropy < 0.995
    mixed = module(damage)
    assert mixed.std(dim=0).mean() > 0.05 * module.transform(module.prompts).std()


def test_content_becomes_several_different_tokens():
    tokens = ContentTokens(6, tokens=4, token_dim=8)(torch.randn(2, 6))
    assert tokens.shape == (2, 4, 8)
    assert not torch.allclose(tokens[:, 0], tokens[:, 1])


def damage_guidance() -> DegradationGuidance:
    torch.manual_seed(0)
    return DegradationGuidance(8, prompt_dim=4, token_dim=6, inner=8, heads=2)


def test_degradation_guidance_starts_as_the_identity():
    x, labels = torch.randn(1, 8, 4, 4), torch.randint(3, (1, 4, 4))
    out = damage_guidance()(x, torch.randn(1, 2, 6), torch.randn(1, 3, 4), membership(labels, 3))
    assert torch.equal(out, x)


def test_a_prompt_changes_its_own_region_only():
    module = damage_guidance()
    torch.nn.init.normal_(module.project_out.weight)
    x, content, prompts = torch.randn(1, 8, 4, 4), torch.randn(1, 2, 6), torch.randn(1, 2, 4)
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[:, :, 2:] = 1
    other = prompts.clone()
    other[:, 1] += 1
    before, after = (module(x, content, p, membership(labels, 2)) for p in (prompts, other))
    assert torch.equal(before[..., :2], after[..., :2])
    assert not torch.allclose(before[..., 2:], after[..., 2:])


def test_spreading_gives_each_pixel_the_value_of_its_region():
    values = torch.tensor([[[1.0], [2.0]]])
    members = membership(torch.tensor([[[0, 1], [1, 1]]]), 2)
    assert spread(values, members, values).flatten().tolist() == [1.0, 2.0, 2.0, 2.0]
    assert spread(values[:, :1], members, values).shape == (1, 1, 1, 1)
