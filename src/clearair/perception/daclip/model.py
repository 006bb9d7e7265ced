"""DA-CLIP as one module: a CLIP and the branch that controls its image tower.

Shapes: B images, S x S pixels, D entries of an embedding, K words.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from clearair.perception.daclip.config import DaClipSize
from clearair.perception.daclip.text import TextTower
from clearair.perception.daclip.tokens import VOCABULARY, word_tokens
from clearair.perception.daclip.vision import ControlTower, VisionTower


class DaClip(nn.Module):
    """Content and degradation embeddings of images (Luo et al., ICLR 2024)."""

    def __init__(self, size: DaClipSize) -> None:
        super().__init__()
        self.size = size
        self.visual = VisionTower(size.vision, size.embedding)
        self.visual_control = ControlTower(size.vision, size.embedding)
        self.text = None if size.text is None else TextTower(size.text, size.embedding)

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised pixels (B, 3, S, S) -> content (B, D), degradation (B, D); rows of length one."""
        degradation, controls = self.visual_control(images)
        content = self.visual(images, controls)
        return F.normalize(content, dim=1), F.normalize(degradation, dim=1)

    def words(self) -> Tensor | None:
        """(K, D) of length one, what DA-CLIP's words mean; None without a text tower of CLIP's vocabulary."""
        if self.text is None or self.text.token_embedding.num_embeddings != VOCABULARY:
            return None
        tokens = word_tokens().to(self.text.positional_embedding.device)
        return F.normalize(self.text(tokens), dim=1)
