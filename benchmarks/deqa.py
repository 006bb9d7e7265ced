"""Measure memory and time of DeQA-Score at full size, with random weights, for one image on one core.

The vision part is timed whole, the language model by one of its 32 layers; seconds are CPU time.
"""

from __future__ import annotations

import torch
from measuring import processor_seconds
from torch import nn

from clearair.perception.deqa.config import DeqaConfig
from clearair.perception.deqa.decoder import rotation_of
from clearair.perception.deqa.memory import BYTES, weight_bytes
from clearair.perception.deqa.network import DeqaNetwork
from clearair.perception.deqa.quantised import quantised_names
from clearair.perception.deqa.tokens import LLAMA_PROMPT


def with_random_weights(module: nn.Module) -> nn.Module:
    module.to_empty(device="cpu")
    for value in module.state_dict().values():
        value.normal_(0, 0.02)
    return module


@torch.inference_mode()
def main() -> None:
    torch.set_num_threads(1)
    config = DeqaConfig()
    with torch.device("meta"):
        network = DeqaNetwork(config)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    print(f"{sum(value.numel() for value in network.state_dict().values()) / 1e9:.2f} billion weights")
    for precision in BYTES:
        size = weight_bytes(shapes, precision, quantised_names(network, precision))
        print(f"{precision}: {size / 1e9:.1f} GB for the weights")

    eyes = [with_random_weights(network.model.vision_model)]
    eyes.append(with_random_weights(network.model.visual_abstractor))
    pixels = torch.randn(1, 3, config.vision.image_size, config.vision.image_size)
    look = processor_seconds(lambda: eyes[1](eyes[0](pixels)))
    layer = with_random_weights(network.model.layers[0])
    begin, seen = len(LLAMA_PROMPT.before), config.abstractor.num_learnable_queries + 1
    length = begin + seen + len(LLAMA_PROMPT.after)
    tokens = torch.randn(1, length, config.decoder.hidden_size)
    rotation = rotation_of(length, network.model.head, network.model.theta, tokens)
    read = processor_seconds(lambda: layer(tokens, slice(begin, begin + seen), rotation))
    layers = config.decoder.num_hidden_layers
    print(f"fp32, one core: eyes {look:.1f} s and a layer {read:.2f} s, measured;")
    print(f"an image {look + layers * read:.0f} s, computed for {layers} layers")


if __name__ == "__main__":
    main()
