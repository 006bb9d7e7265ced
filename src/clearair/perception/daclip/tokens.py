"""The ten words of DA-CLIP as CLIP's byte-pair tokens.

Only these are ever put to the text tower, so their ids stand here instead of CLIP's tokenizer. They come from
its merges (`bpe_simple_vocab_16e6.txt.gz` of openai/CLIP and open_clip_torch 3.3.0, SHA-256 924691ac28...),
applied to the words split into letters and punctuation.
"""

from __future__ import annotations

import torch
from torch import Tensor

START, END = 49406, 49407
VOCABULARY = 49408
"""Tokens that CLIP knows; a text tower with another number of them was taught other ids."""

WORDS: dict[str, tuple[int, ...]] = {
    "motion-blurry": (7860, 268, 21977),  # motion - blurry
    "hazy": (32655,),
    "jpeg-compressed": (73, 11207, 268, 42359),  # j peg - compressed
    "low-light": (1042, 268, 1395),  # low - light
    "noisy": (33495,),
    "raindrop": (3128, 3387),  # rain drop
    "rainy": (10222,),
    "shadowed": (15243, 538),  # shadow ed
    "snowy": (14191,),
    "uncompleted": (569, 5976),  # un completed
}
"""The degradations that DA-CLIP was trained on, in its order."""


def word_tokens() -> Tensor:
    """(10, 6) start, word, end, then zeros. CLIP pads to 77, which a causal tower does not notice."""
    length = max(map(len, WORDS.values())) + 2
    rows = [[START, *ids, END] + [0] * (length - len(ids) - 2) for ids in WORDS.values()]
    return torch.tensor(rows)
