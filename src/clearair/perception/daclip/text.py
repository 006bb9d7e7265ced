"""CLIP's text tower: words as embeddings in the space of the images.

Shapes: B texts, L tokens of C entries, D entries of an embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from clearair.perception.daclip.config import TextSize
from clearair.perception.daclip.transformer import Transformer


class TextTower(nn.Module):
    """A causal transformer; the token that ends a text knows all of it."""

    def __init__(self, size: TextSize, embedding: int) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(size.vocabulary, size.width)
        self.positional_embedding = nn.Parameter(torch.zeros(size.context, size.width))
        self.transformer = Transformer(size.layers, size.width, size.heads, size.hidden)
        self.ln_final = nn.LayerNorm(size.width, eps=1e-5)
        self.text_projection = nn.Parameter(torch.zeros(size.width, embedding))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L) token ids -> (B, D)."""
        x = self.token_embedding(tokens) + self.positional_embedding[: tokens.shape[1]]
        x = self.transformer(x, causal=True)
        ends = tokens.argmax(dim=1)  # the end has the highest id
        return self.ln_final(x[torch.arange(len(x)), ends]) @ self.text_projection  # type: ignore[no-any-return]
