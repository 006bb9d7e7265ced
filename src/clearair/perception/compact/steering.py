"""Move the embeddings of a picture to those of kinds of damage. For arrays and tensors alike."""

from __future__ import annotations

from typing import Any


def moved(embeddings: Any, prototypes: Any, shares: Any) -> Any:
    """Embeddings of length one (B, ..., D_d), moved to those of kinds by `shares` (B, K) in [0, 1].

    `prototypes` (K, D_d) are the mean embeddings of the kinds. The picture's own embedding keeps the rest.
    """
    total = shares.sum(1)[:, None]  # (B, 1)
    between = (1,) * (len(embeddings.shape) - 2)
    target = ((shares / total.clip(1, None)) @ prototypes).reshape(len(shares), *between, -1)
    own = (1 - total.clip(0, 1)).reshape(len(shares), *between, 1) * embeddings
    mixed = own + target
    length = ((mixed * mixed).sum(-1) ** 0.5).clip(1e-12, None)
    return mixed / length[..., None]
