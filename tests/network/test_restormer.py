"""The backbone is Restormer: with neutral guidance it computes what Zamir et al. (CVPR 2022) describe.

The reference below is written from the paper's equations and the published names of its weights; it shares no
code with the package.
"""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from clearair.network import BASE, ClearAIR, Guidance
from tests.network.conftest import random_guidance

State = dict[str, torch.Tensor]
CHANNELS, BLOCKS, DECODER, REFINEMENT, HEADS = (8, 16, 32, 64), (1, 2, 1, 2), (1, 1, 2), 2, (1, 2, 4, 8)


def normalised(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    mean = x.mean(dim=1, keepdim=True) if f"{name}.bias" in state else 0.0
    variance = x.var(dim=1, keepdim=True, unbiased=False)
    scaled = (x - mean) / (variance + 1e-5).sqrt() * state[f"{name}.weight"][:, None, None]
    return scaled + state[f"{name}.bias"][:, None, None] if f"{name}.bias" in state else scaled


def attention(state: State, name: str, x: torch.Tensor, heads: int) -> torch.Tensor:
    channels = x.shape[1]
    mixed = F.conv2d(x, state[f"{name}.qkv.weight"])
    mixed = F.conv2d(mixed, state[f"{name}.qkv_dwconv.weight"], padding=1, groups=3 * channels)
    query, key, value = (
        part.flatten(2).unflatten(1, (heads, channels // heads)) for part in mixed.chunk(3, dim=1)
    )
    similarity = torch.einsum(
        "bhcn,bhdn->bhcd", query / query.norm(dim=3, keepdim=True), key / key.norm(dim=3, keepdim=True)
    )
    weights = (similarity * state[f"{name}.temperature"]).softmax(dim=3)
    out = torch.einsum("bhcd,bhdn->bhcn", weights, value).reshape(x.shape)
    return F.conv2d(out, state[f"{name}.project_out.weight"])


def feed_forward(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    hidden = F.conv2d(x, state[f"{name}.project_in.weight"])
    hidden = F.conv2d(hidden, state[f"{name}.dwconv.weight"], padding=1, groups=hidden.shape[1])
    gate, value = hidden.chunk(2, dim=1)
    return F.conv2d(F.gelu(gate) * value, state[f"{name}.project_out.weight"])


def blocks(state: State, name: str, x: torch.Tensor, heads: int) -> torch.Tensor:
    count = len({key.split(".")[1] for key in state if key.startswith(f"{name}.")})
    for index in range(count):
        block = f"{name}.{index}"
        x = x + attention(state, f"{block}.attn", normalised(state, f"{block}.norm1.body", x), heads)
        x = x + feed_forward(state, f"{block}.ffn", normalised(state, f"{block}.norm2.body", x))
    return x


def restormer(state: State, image: torch.Tensor) -> torch.Tensor:
    def conv(name: str, x: torch.Tensor) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, padding=weight.shape[-1] // 2)

    x = conv("patch_embed.proj", image)
    skips = []
    for level in (1, 2, 3):
        x = blocks(state, f"encoder_level{level}", x, HEADS[level - 1])
        skips.append(x)
        x = F.pixel_unshuffle(conv(f"down{level}_{level + 1}.body.0", x), 2)
    x = blocks(state, "latent", x, HEADS[3])
    for level in (3, 2, 1):
        x = F.pixel_shuffle(conv(f"up{level + 1}_{level}.body.0", x), 2)
        x = torch.cat([x, skips[level - 1]], dim=1)
        if level > 1:
            x = conv(f"reduce_chan_level{level}", x)
        x = blocks(state, f"decoder_level{level}", x, HEADS[level - 1])
    return conv("output", blocks(state, "refinement", x, HEADS[0])) + image


def published(network: ClearAIR) -> State:
    """Our weights under Restormer's published names."""
    names = {"extraction": "patch_embed.proj", "reconstruction": "output", "refinement": "refinement"}
    for level in range(4):
        names[f"encoder.{level}"] = f"encoder_level{level + 1}" if level < 3 else "latent"
        names[f"decoder.{level}"] = f"decoder_level{level + 1}"
        names[f"down.{level}"] = f"down{level + 1}_{level + 2}"
        names[f"up.{level}"] = f"up{level + 2}_{level + 1}"
        names[f"reduce.{level}"] = f"reduce_chan_level{level + 1}"
    state = {}
    for key, value in network.state_dict().items():
        for ours, theirs in names.items():
            if key.startswith(f"{ours}."):
                name = theirs + key.removeprefix(ours)
                state[name.replace(".norm1.", ".norm1.body.").replace(".norm2.", ".norm2.body.")] = value
    return state


@pytest.mark.parametrize("norm_bias", [True, False])
def test_with_neutral_guidance_the_backbone_is_restormer(norm_bias):
    config = replace(
        BASE,
        channels=CHANNELS,
        blocks=BLOCKS,
        decoder_blocks=DECODER,
        refinement_blocks=REFINEMENT,
        norm_bias=norm_bias,
    )
    torch.manual_seed(0)
    network = ClearAIR(config).double().eval()
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "norm" in name and "guidance" not in name:
                parameter.add_(0.2 * torch.randn_like(parameter))
        image = torch.rand(1, 3, 24, 32, dtype=torch.float64)
        told = vars(random_guidance(config, (24, 32))).items()
        guidance = Guidance(**{name: v.double() if v.is_floating_point() else v for name, v in told})
        ours = network(image, guidance)
        theirs = restormer(published(network), image)
    assert (ours - theirs).abs().max() < 1e-10
    assert (ours - image).abs().max() > 1e-3
