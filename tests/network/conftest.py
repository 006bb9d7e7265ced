from typing import TypeVar

import pytest
import torch

from clearair.network import TINY, ClearAIR, Guidance, NetworkConfig


def random_guidance(config: NetworkConfig, size: tuple[int, int], batch: int = 1, seed: int = 0) -> Guidance:
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return Guidance(
        quality=randn(batch, config.quality_dim),
        labels=torch.randint(config.region_count, (batch, *size), generator=generator).to(torch.uint8),
        content=randn(batch, config.content_dim),
        degradation=randn(batch, config.degradation_dim),
        local_degradation=randn(batch, config.region_count, config.degradation_dim),
        tone=torch.rand(batch, generator=generator),
        change=torch.rand(batch, generator=generator),
        coarse=torch.rand(batch, generator=generator),
    )


Network = TypeVar("Network", bound=ClearAIR)


def randomised(kind: type[Network], config: NetworkConfig, seed: int = 0) -> Network:
    """A network in which nothing is neutral: also what starts at zero is random."""
    torch.manual_seed(seed)
    network = kind(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.abs().max() == 0:
                parameter.normal_(std=0.2)
    return network


def random_network(config: NetworkConfig, seed: int = 0) -> ClearAIR:
    return randomised(ClearAIR, config, seed)


@pytest.fixture(scope="session")
def tiny_network() -> ClearAIR:
    return random_network(TINY)
