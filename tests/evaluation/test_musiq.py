"""MUSIQ against a second implementation, written in NumPy from the paper and the layout of its weights."""

import math

import numpy as np
import pytest
import torch

from clearair.errors import ModelError
from clearair.evaluation.musiq import Musiq, MusiqConfig, load_musiq, multiscale_patches, musiq

SMALL = MusiqConfig(width=8, hidden=12, heads=2, layers=2, longer_sides=(48, 80))


def randomise(network: Musiq) -> Musiq:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return network.eval()


def padded_same(image, side, stride):
    pads = [max(0, (math.ceil(n / stride) - 1) * stride + side - n) for n in image.shape[1:]]
    return np.pad(image, ((0, 0), *((p // 2, p - p // 2) for p in pads)))


def convolved(image, weight, stride=1):
    n = weight[0].size
    weight = weight - weight.mean((1, 2, 3), keepdims=True)
    weight = weight / (weight.std((1, 2, 3), keepdims=True) * math.sqrt(n / (n - 1)) + 1e-5)
    side = weight.shape[2]
    windows = np.lib.stride_tricks.sliding_window_view(padded_same(image, side, stride), (side, side), (1, 2))
    return np.einsum("chwij,ocij->ohw", windows[:, ::stride, ::stride], weight)


def group_norm(x, weight, bias, eps):
    groups = x.reshape(32, -1)
    groups = (groups - groups.mean(1, keepdims=True)) / np.sqrt(groups.var(1, keepdims=True) + eps)
    return groups.reshape(x.shape) * weight[:, None, None] + bias[:, None, None]


def layer_norm(x, weight, bias):
    return (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * weight + bias


def embedded(patch, w):
    x = convolved(patch, w["conv_root.weight"], 2)
    x = np.maximum(group_norm(x, w["gn_root.weight"], w["gn_root.bias"], 1e-6), 0)
    x = np.lib.stride_tricks.sliding_window_view(padded_same(x, 3, 2), (3, 3), (1, 2))[:, ::2, ::2].max(
        (3, 4)
    )
    inner = x
    for k in (1, 2, 3):
        inner = convolved(inner, w[f"block1.conv{k}.weight"])
        inner = group_norm(inner, w[f"block1.gn{k}.weight"], w[f"block1.gn{k}.bias"], 1e-4)
        inner = np.maximum(inner, 0) if k < 3 else inner
    straight = convolved(x, w["block1.conv_proj.weight"])
    straight = group_norm(straight, w["block1.gn_proj.weight"], w["block1.gn_proj.bias"], 1e-4)
    x = np.maximum(inner + straight, 0)
    return w["embedding.weight"] @ x.transpose(1, 2, 0).ravel() + w["embedding.bias"]


def rated(patches, positions, scales, w, config):
    encoder = "transformer_encoder."
    x = np.stack([embedded(patch, w) for patch in patches])
    x = x + w[encoder + "posembed_input.position_emb"][0][positions]
    x = x + w[encoder + "scaleembed_input.scale_emb"][scales]
    x = np.concatenate([w[encoder + "cls"][0], x])
    for layer in range(config.layers):
        block = f"{encoder}transformer.encoderblock_{layer}."

        def linear(x, name, block=block):
            return x @ w[f"{block}{name}.weight"].T + w[f"{block}{name}.bias"]

        y = layer_norm(x, w[block + "norm1.weight"], w[block + "norm1.bias"])
        q, k, v = (linear(y, f"attention.{name}") for name in ("query", "key", "value"))
        size, heads = config.width // config.heads, []
        for head in range(config.heads):
            part = slice(head * size, (head + 1) * size)
            logits = q[:, part] @ k[:, part].T / math.sqrt(size)
            weights = np.exp(logits - logits.max(1, keepdims=True))
            heads.append(weights / weights.sum(1, keepdims=True) @ v[:, part])
        x = x + linear(np.concatenate(heads, 1), "attention.out")
        hidden = linear(layer_norm(x, w[block + "norm2.weight"], w[block + "norm2.bias"]), "mlp.fc1")
        gelu = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
        x = x + linear(gelu, "mlp.fc2")
    x = layer_norm(x, w[encoder + "encoder_norm.weight"], w[encoder + "encoder_norm.bias"])
    return float(w["head.weight"][0] @ x[0] + w["head.bias"][0])


def test_the_network_agrees_with_a_second_implementation():
    network = randomise(Musiq(SMALL))
    image = torch.rand(1, 3, 70, 101, generator=torch.Generator().manual_seed(1))
    weights = {name: value.double().numpy() for name, value in network.state_dict().items()}
    patches, positions, scales = multiscale_patches(2 * image - 1, SMALL)
    expected = rated(patches.double().numpy(), positions.numpy(), scales.numpy(), weights, SMALL)
    with torch.no_grad():
        assert float(network(image)) == pytest.approx(expected, rel=1e-4)


def test_patches_cover_each_scale_and_hash_their_places():
    image = torch.rand(1, 3, 70, 101)
    patches, positions, scales = multiscale_patches(image, SMALL)
    assert torch.bincount(scales).tolist() == [2 * 2, 2 * 3, 3 * 4]  # 33 x 48, 55 x 80, 70 x 101
    assert positions[scales == 2].tolist() == [30 * (r) + c for r in range(3) for c in (0, 2, 5, 7)]
    # 70 rows become 96, 13 of zeros before; 101 columns become 128, 13 before.
    assert torch.equal(patches[scales == 2][0][:, 13:, 13:], image[0, :, :19, :19])


def test_weights_of_the_published_layout_load_at_full_size(tmp_path):
    network = randomise(Musiq())
    assert sum(value.numel() for value in network.state_dict().values()) == 27_125_825
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    loaded = load_musiq(tmp_path / "weights.pth")
    assert musiq(image, loaded) == pytest.approx(musiq(image, network))


def test_other_weights_are_refused_with_the_name_that_does_not_fit(tmp_path):
    weights = Musiq(SMALL).state_dict()
    torch.save(weights, tmp_path / "small.pth")
    with pytest.raises(ModelError, match=r"small\.pth.*embedding\.weight is \(8, 16384\)"):
        load_musiq(tmp_path / "small.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(ModelError, match=r"text\.pth"):
        load_musiq(tmp_path / "text.pth")
