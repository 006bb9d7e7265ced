from dataclasses import replace
from itertools import permutations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from clearair.network import BASE, COMPACT, TINY, ClearAIR, Guidance, count_parameters, overview
from clearair.network.layers import coarse_part, tonal_part
from clearair.network.overview import STRIP, THUMBNAIL, survey, survey_rows
from clearair.network.regions import membership
from clearair.perception import load_compact
from clearair.perception.compact.perceiver import CompactPerceiver
from tests.network.conftest import random_guidance, random_network


def run(network: ClearAIR, image: torch.Tensor, guidance: Guidance) -> torch.Tensor:
    with torch.no_grad():
        return network(image, guidance)


@settings(max_examples=15)
@given(height=st.integers(1, 21), width=st.integers(1, 21))
def test_any_size_comes_out_as_it_went_in(height, width):
    image = torch.rand(1, 3, height, width)
    restored = run(random_network(TINY), image, random_guidance(TINY, (height, width)))
    assert restored.shape == image.shape
    assert torch.isfinite(restored).all()


@pytest.mark.parametrize(
    "dims", [{}, {"quality_dim": 4096, "content_dim": 512, "degradation_dim": 512}], ids=["embedded", "paper"]
)
def test_the_base_preset_has_the_papers_31_million_parameters(dims):
    with torch.device("meta"):
        network = ClearAIR(replace(BASE, **dims))
    assert abs(count_parameters(network) - 31e6) <= 1e6


def test_the_compact_preset_with_its_eyes_keeps_to_10_gmacs_and_12_mb():
    image = torch.rand(1, 3, 256, 256)
    network, perceiver = ClearAIR(COMPACT).eval(), CompactPerceiver(load_compact().eyes)
    with FlopCounterMode(display=False) as counter:
        run(network, image, perceiver.perceive(image))
    assert counter.get_total_flops() / 2 <= 10e9
    parameters = count_parameters(network) + sum(p.numel() for p in perceiver.eyes.parameters())
    assert 2 * parameters <= 12e6


def test_the_recognizer_keeps_to_one_gmac_a_picture_of_this_size():
    recognizer = load_compact().recognizer
    assert recognizer is not None
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        recognizer.features(torch.rand(1, 3, 256, 256))
    assert counter.get_total_flops() / 2 <= 1.2e9
    assert 2 * sum(p.numel() for p in recognizer.parameters()) <= 7e6


def test_every_order_of_perception_gives_another_network():
    image, guidance = torch.rand(1, 3, 8, 8), random_guidance(TINY, (8, 8))
    outputs = []
    for order in permutations(("how", "where", "what")):
        outputs.append(run(random_network(replace(TINY, order=order)), image, guidance))
    for first in range(len(outputs)):
        for second in range(first):
            assert not torch.allclose(outputs[first], outputs[second], atol=1e-6)


@pytest.mark.parametrize(
    ("component", "percepts"),
    [
        ("quality", ["quality"]),
        ("regions", ["labels", "local_degradation"]),
        ("degradation", ["content", "local_degradation"]),
    ],
)
def test_a_learned_component_ignores_what_is_perceived(component, percepts):
    config = replace(TINY, **{component: "learned"})
    network, image = random_network(config), torch.rand(1, 3, 8, 8)
    guidance = random_guidance(TINY, (8, 8))
    other = replace(guidance, **{name: getattr(guidance, name).flip(-1) for name in percepts})
    assert torch.equal(run(network, image, guidance), run(network, image, other))
    assert count_parameters(network) > count_parameters(ClearAIR(TINY))


def unit(*shape: int, seed: int) -> torch.Tensor:
    """Vectors of length one, as perceivers give them."""
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


PAPER = replace(BASE, channels=(8, 16, 32, 64), blocks=(1, 1, 1, 1), decoder_blocks=(1, 1, 1))
"""The paper's network, narrow and shallow."""


@pytest.mark.parametrize("config", [COMPACT, PAPER], ids=["compact", "paper"])
@pytest.mark.parametrize("percept", ["quality", "labels", "content", "degradation"])
def test_every_percept_moves_the_output_by_a_share_of_the_image(config, percept):
    # Weights at the scale at which layers begin; only what begins at zero is drawn at that scale too.
    torch.manual_seed(0)
    network = ClearAIR(config).eval()
    generator = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        if parameter.dim() > 1 and parameter.abs().max() == 0:
            bound = parameter[0].numel() ** -0.5
            torch.nn.init.uniform_(parameter, -bound, bound, generator=generator)
    image = F.interpolate(torch.rand(1, 3, 4, 4, generator=generator), (32, 32), mode="bilinear")
    one, two = (
        replace(
            random_guidance(config, (32, 32), seed=seed),
            content=unit(1, config.content_dim, seed=seed),
            degradation=unit(1, config.degradation_dim, seed=seed),
            local_degradation=unit(1, config.region_count, config.degradation_dim, seed=seed),
            labels=(torch.arange(32)[None, :] // (8 + 8 * seed)).expand(1, 32, 32).to(torch.uint8),
            tone=torch.ones(1),
            change=torch.ones(1),
            coarse=torch.ones(1),
        )
        for seed in (0, 1)
    )
    names = ("degradation", "local_degradation") if percept == "degradation" else (percept,)
    other = replace(one, **{name: getattr(two, name) for name in names})
    moved = run(network, image, one) - run(network, image, other)
    assert moved.std() > 0.01 * image.std()


def test_guidance_comes_before_the_blocks_of_the_encoder_and_after_those_of_the_decoder(tiny_network):
    called: list[str] = []

    def watch(name: str, module: torch.nn.Module) -> torch.utils.hooks.RemovableHandle:
        return module.register_forward_hook(lambda *_: called.append(name))

    watched = [
        watch(f"{name} {level}", module)
        for name in ("encoder_guidance", "encoder", "decoder", "decoder_guidance")
        for level, module in enumerate(getattr(tiny_network, name))
    ]
    run(tiny_network, torch.rand(1, 3, 8, 8), random_guidance(TINY, (8, 8)))
    for handle in watched:
        handle.remove()
    assert called == [
        "encoder_guidance 0",
        "encoder 0",
        "encoder_guidance 1",
        "encoder 1",
        "decoder 0",
        "decoder_guidance 0",
    ]


TONED = replace(TINY, tone=True, padding="replicate", resampling="bilinear", stem=2, block=("conv", "gated"))
"""What `compact` has and the paper's network has not, at TINY's size."""


@pytest.mark.parametrize("config", [TINY, TONED], ids=["paper", "compact"])
def test_a_window_far_from_its_own_border_is_restored_as_in_the_whole(config):
    # Without attention over channels, which looks at the whole window, a window's inside is exact.
    config = replace(config, block=("conv", "gated"))
    network, image = random_network(config), torch.rand(1, 3, 136, 192)
    guidance = random_guidance(config, (136, 192))
    labels = guidance.labels
    with torch.no_grad():
        judgement = network.judge(guidance, survey(image, labels, config.region_count, config.stem))
        whole = network(image, guidance)
        part = network.restore(image[..., 8:, 16:176], labels[:, 8:, 16:176], judgement, (8, 16))
        alone = network(image[..., 8:, 16:176], guidance.window(8, 16, 128, 160))
    assert torch.allclose(part[..., 56:, 56:-56], whole[..., 64:, 72:-72], atol=1e-5)
    assert not torch.allclose(part[..., 56:, 56:-56], alone[..., 56:, 56:-56], atol=1e-3)


def test_tokens_of_the_whole_picture_equal_pooled_shallow_features():
    for config in (replace(TINY, padding="replicate"), replace(TONED, conv_bias=True)):
        network = random_network(config)
        image, guidance = torch.rand(2, 3, 13, 300), random_guidance(config, (13, 300), batch=2)
        overview = survey(image, guidance.labels, config.region_count, config.stem)
        pad = (0, 0, 0, 13 % config.stem)
        cells = F.pixel_unshuffle(F.pad(image, pad, mode="replicate"), config.stem)
        labels = F.pad(guidance.labels[:, None].float(), pad, mode="replicate")[:, 0]
        with torch.no_grad():
            features, tokens = network.extraction(cells), network._tokens(overview)
        members = membership(labels, config.region_count, config.stem)
        means = torch.einsum("bnhw,bchw->bnc", members, features) / members.sum(dim=(2, 3))[..., None]
        assert torch.allclose(tokens.features, means, atol=1e-5)
        assert torch.allclose(tokens.areas, members.sum(dim=(2, 3)))


@pytest.mark.parametrize("size", [(1, 1), (5, 700), (901, 7)])
def test_an_overview_is_the_same_however_it_is_read(size):
    image, labels = torch.rand(1, 3, *size), torch.randint(4, (1, *size))
    whole = survey(image, labels, 4, 2)
    asked: list[int] = []

    def rows(top: int, bottom: int) -> tuple[torch.Tensor, torch.Tensor]:
        asked.append(bottom - top)
        return image[:, :, top:bottom], labels[:, top:bottom]

    read = survey_rows(rows, size, 4, 2)
    assert torch.equal(read.neighbourhoods, whole.neighbourhoods)
    assert torch.allclose(read.thumbnail, F.adaptive_avg_pool2d(image, THUMBNAIL), atol=1e-6)
    assert torch.allclose(whole.areas.sum(), torch.tensor(-(-size[0] // 2) * -(-size[1] // 2) * 1.0))
    assert max(asked) <= max(STRIP + 4, 4 * THUMBNAIL)


@pytest.mark.parametrize("stem", [1, 2, 4])
@pytest.mark.parametrize("height", [*range(STRIP - 3, STRIP + 6), 2 * STRIP + 1, 3 * STRIP + 3])
def test_an_overview_does_not_depend_on_where_strips_end(monkeypatch, stem, height):
    image, labels = torch.rand(1, 3, height, 6), torch.randint(3, (1, height, 6))
    strips = survey(image, labels, 3, stem)
    monkeypatch.setattr(overview, "STRIP", 4 * height)
    whole = survey(image, labels, 3, stem)
    assert torch.allclose(strips.neighbourhoods, whole.neighbourhoods, atol=1e-6)
    assert torch.allclose(strips.areas, whole.areas)


def test_a_cautious_network_changes_an_image_as_far_as_it_may():
    image, guidance = torch.rand(3, 3, 16, 16), random_guidance(TINY, (16, 16), batch=3)
    free = run(random_network(TINY), image, guidance)
    share = torch.tensor([0.0, 0.25, 1.0])
    guidance = replace(guidance, change=share, coarse=torch.ones(3))
    careful = run(random_network(replace(TINY, cautious=True)), image, guidance)
    assert torch.equal(careful[0], image[0])
    assert torch.allclose(careful, image.lerp(free, share[:, None, None, None]), atol=1e-6)


def test_a_cautious_network_leaves_the_mean_colour_of_places_where_it_may_not_be_changed():
    image, guidance = torch.rand(3, 3, 48, 48), random_guidance(TINY, (48, 48), batch=3)
    free = run(random_network(TINY), image, guidance) - image
    guidance = replace(guidance, change=torch.ones(3), coarse=torch.tensor([0.0, 0.5, 1.0]))
    careful = run(random_network(replace(TINY, cautious=True)), image, guidance) - image
    assert torch.allclose(careful[2], free[2], atol=1e-6)
    assert torch.allclose(careful[1], (free - coarse_part(free) / 2)[1], atol=1e-5)
    assert careful[0].mean(dim=(1, 2)).abs().max() < 0.1 * free[0].mean(dim=(1, 2)).abs().max()


def test_what_follows_the_light_may_be_changed_where_the_tone_may():
    network = random_network(replace(TONED, cautious=True))
    image, guidance = torch.rand(2, 3, 48, 48), random_guidance(TONED, (48, 48), batch=2)
    told = replace(guidance, change=torch.ones(2), coarse=torch.zeros(2), tone=torch.tensor([0.0, 1.0]))
    with torch.no_grad():
        judgement = network.judge(told, survey(image, told.labels, TONED.region_count, TONED.stem))
        assert judgement.tone is not None
        toned = network.tone(image, judgement.tone)
        free = replace(judgement, coarse=torch.ones(2))
        residual = network.restore(image, told.labels, free) - toned
        detail = residual - coarse_part(residual)
        follows = coarse_part(tonal_part(residual, toned))
        held = network.restore(image, told.labels, judgement) - toned
        kept = network.restore(image, told.labels, judgement, keep_tone=True) - image
        gain = network.tone.gain(image, judgement.tone)
    assert torch.allclose(held[0], detail[0], atol=1e-5)
    assert torch.allclose(held[1], (detail + follows)[1], atol=1e-5)
    assert torch.allclose(kept, detail / gain.clamp_min(1), atol=1e-5)


def test_no_tone_is_changed_without_confidence_and_none_is_left_with_keep_tone():
    network = random_network(TONED)
    torch.nn.init.zeros_(network.reconstruction.weight)
    image, guidance = torch.rand(2, 3, 16, 16), random_guidance(TONED, (16, 16), batch=2)
    doubtful = replace(guidance, tone=torch.tensor([0.0, 1.0]))
    restored = run(network, image, doubtful)
    assert torch.allclose(restored[0], image[0], atol=1e-6)
    assert (restored[1] - image[1]).abs().mean() > 0.01
    with torch.no_grad():
        judgement = network.judge(doubtful, survey(image, doubtful.labels, 4, 2))
        kept = network.restore(image, doubtful.labels, judgement, keep_tone=True)
    assert torch.allclose(kept, image, atol=1e-6)


def test_without_local_embeddings_the_global_one_decides():
    network = random_network(replace(TINY, local_degradation=False))
    image, guidance = torch.rand(1, 3, 8, 8), random_guidance(TINY, (8, 8))
    local = replace(guidance, local_degradation=guidance.local_degradation.flip(-1))
    overall = replace(guidance, degradation=guidance.degradation.flip(-1))
    assert torch.equal(run(network, image, guidance), run(network, image, local))
    assert not torch.allclose(run(network, image, guidance), run(network, image, overall), atol=1e-6)


def test_images_of_a_batch_do_not_mix(tiny_network):
    image, guidance = torch.rand(3, 3, 8, 8), random_guidance(TINY, (8, 8), batch=3)
    order = torch.tensor([2, 0, 1])
    together, turned = (
        run(tiny_network, image, guidance),
        run(tiny_network, image[order], guidance.permuted(order)),
    )
    assert torch.allclose(together[order], turned, atol=1e-5)


class LargestTensor(TorchDispatchMode):
    """Remembers the most elements that any result of an operation had."""

    def __init__(self) -> None:
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if isinstance(result, torch.Tensor):
            self.elements = max(self.elements, result.numel())
        return result


@pytest.mark.parametrize("config", [TINY, replace(TINY, block=("restormer", "restormer"))])
def test_memory_grows_linearly_with_pixels(config):
    network, largest = random_network(config), []
    for side in (32, 64, 128):
        with LargestTensor() as mode:
            run(network, torch.rand(1, 3, side, side), random_guidance(config, (side, side)))
        largest.append(mode.elements)
    assert largest[1] <= 4.01 * largest[0]
    assert largest[2] <= 4.01 * largest[1]
