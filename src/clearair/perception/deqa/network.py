"""The complete DeQA-Score: encode the image and the question, and weigh the five possible answers.

Shapes: B images, S x S pixels, V visual tokens, T tokens in all, E channels of the language model.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn

from clearair.perception.deqa.abstractor import VisualAbstractor
from clearair.perception.deqa.config import DeqaConfig
from clearair.perception.deqa.decoder import DecoderLayer, RMSNorm, rotation_of
from clearair.perception.deqa.tokens import Prompt
from clearair.perception.deqa.vision import VisionTower


class DeqaNetwork(nn.Module):
    """The names of its tensors are those of the published files."""

    def __init__(self, config: DeqaConfig) -> None:
        super().__init__()
        self.config = config
        self.model = MultimodalDecoder(config)
        self.lm_head = nn.Linear(config.decoder.hidden_size, config.decoder.vocab_size, bias=False)

    def forward(self, pixels: Tensor, prompt: Prompt) -> tuple[Tensor, Tensor]:
        """(B, 3, S, S) -> last hidden state (B, E) and logits of the five levels (B, 5)."""
        hidden = self.model(self.model.look(pixels), prompt)
        return hidden, self.lm_head(hidden)[:, list(prompt.levels)]


class MultimodalDecoder(nn.Module):
    """Eyes and language."""

    def __init__(self, config: DeqaConfig) -> None:
        super().__init__()
        decoder = config.decoder
        self.head = decoder.hidden_size // decoder.num_attention_heads
        self.theta = decoder.rope_theta
        self.embed_tokens = nn.Embedding(decoder.vocab_size, decoder.hidden_size)
        self.vision_model = VisionTower(config.vision)
        self.visual_abstractor = VisualAbstractor(config.abstractor, decoder.hidden_size)
        self.layers = nn.ModuleList([DecoderLayer(decoder) for _ in range(decoder.num_hidden_layers)])
        self.norm = RMSNorm(decoder.hidden_size, decoder.rms_norm_eps)

    def look(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> visual tokens (B, V, E)."""
        return cast(Tensor, self.visual_abstractor(self.vision_model(pixels)))

    def forward(self, seen: Tensor, prompt: Prompt) -> Tensor:
        """Visual tokens (B, V, E) -> hidden state at the last position (B, E)."""
        before, after = self._words(prompt.before, seen), self._words(prompt.after, seen)
        tokens = torch.cat([before, seen, after], dim=1)
        visual = slice(before.shape[1], before.shape[1] + seen.shape[1])
        rotation = rotation_of(tokens.shape[1], self.head, self.theta, tokens)
        for layer in self.layers:
            tokens = layer(tokens, visual, rotation)
        return cast(Tensor, self.norm(tokens[:, -1]))

    def _words(self, ids: tuple[int, ...], seen: Tensor) -> Tensor:
        """(B, T', E) for T' words, on the device and of the type of the visual tokens."""
        words = self.embed_tokens(torch.tensor([ids], device=seen.device))
        return cast(Tensor, words.to(seen).expand(len(seen), -1, -1))
