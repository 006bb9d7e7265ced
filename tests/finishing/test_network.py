"""The network as it ships: the paper's, with tone, caution and keep-tone around it."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.utils.flop_counter import FlopCounterMode

from clearair.finishing import FinishedNetwork
from clearair.finishing.coarse import coarse_part, tonal_part
from clearair.network import BASE, COMPACT, TINY, ClearAIR, Guidance, count_parameters
from clearair.network.overview import survey
from clearair.perception import load_compact
from clearair.perception.compact.perceiver import CompactPerceiver
from tests.network.conftest import random_guidance, randomised

TONED = replace(TINY, tone=True, padding="replicate", resampling="bilinear", stem=2, block=("conv", "gated"))
"""What `compact` has and the paper's network has not, at TINY's size."""


def random_network(config, seed: int = 0) -> FinishedNetwork:
    return randomised(FinishedNetwork, config, seed)


def run(network: FinishedNetwork, image: torch.Tensor, guidance: Guidance) -> torch.Tensor:
    with torch.no_grad():
        return network(image, guidance)


def test_with_everything_off_it_is_the_papers_network():
    image, guidance = torch.rand(1, 3, 9, 14), random_guidance(TINY, (9, 14))
    finished = random_network(TINY)
    paper = ClearAIR(TINY).eval()
    paper.load_state_dict(finished.state_dict())
    with torch.no_grad():
        assert torch.equal(finished(image, guidance), paper(image, guidance))


def test_the_compact_preset_with_its_eyes_keeps_to_10_gmacs_and_12_mb():
    image = torch.rand(1, 3, 256, 256)
    network, perceiver = FinishedNetwork(COMPACT).eval(), CompactPerceiver(load_compact().eyes)
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
    network = FinishedNetwork(config).eval()
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


@pytest.mark.parametrize("config", [TINY, TONED], ids=["paper", "compact"])
def test_a_window_far_from_its_own_border_is_restored_as_in_the_whole(config):
    # Without attention over channels, which looks at the whole window, a window's inside is exact.
    config = replace(config, block=("conv", "gated"))
    network, image = random_network(config), torch.rand(1, 3, 136, 192)
    guidance = random_guidance(config, (136, 192))
    labels = guidance.labels
    with torch.no_grad():
        judgement = network.judge(guidance, survey(image, labels, config))
        whole = network(image, guidance)
        part = network.restore(image[..., 8:, 16:176], labels[:, 8:, 16:176], judgement, (8, 16))
        alone = network(image[..., 8:, 16:176], guidance.window(8, 16, 128, 160))
    assert torch.allclose(part[..., 56:, 56:-56], whole[..., 64:, 72:-72], atol=1e-5)
    assert not torch.allclose(part[..., 56:, 56:-56], alone[..., 56:, 56:-56], atol=1e-3)


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
        judgement = network.judge(told, survey(image, told.labels, TONED))
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
        judgement = network.judge(doubtful, survey(image, doubtful.labels, TONED))
        kept = network.restore(image, doubtful.labels, judgement, keep_tone=True)
    assert torch.allclose(kept, image, atol=1e-6)
