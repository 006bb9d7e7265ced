"""DA-CLIP as its authors describe it, naively and in float64, and a tiny checkpoint under their names.

Shares no code with the package: attention goes head by head, positions one at a time.
"""

from __future__ import annotations

import math

import numpy as np
import torch

State = dict[str, torch.Tensor]

WIDTH, LAYERS, PATCH, IMAGE, EMBEDDING, HEADS = 128, 3, 32, 224, 24, 2
SMALL = 0.05
WORDS = (
    (7860, 268, 21977),
    (32655,),
    (73, 11207, 268, 42359),
    (1042, 268, 1395),
    (33495,),
    (3128, 3387),
    (10222,),
    (15243, 538),
    (14191,),
    (569, 5976),
)


def random_state(*, text: bool = True, seed: int = 0) -> State:
    """A checkpoint in which nothing is neutral, under the names of the published one.

    What passes from block to block is small, so that the eps of every normalisation shows.
    """
    generator = torch.Generator().manual_seed(seed)

    def randn(*shape: int, scale: float) -> torch.Tensor:
        return torch.randn(*shape, generator=generator) * scale

    def norm(state: State, name: str, scale: float = 1.0) -> None:
        state[f"{name}.weight"] = scale * (1 + randn(WIDTH, scale=0.3))
        state[f"{name}.bias"] = randn(WIDTH, scale=0.3 * scale)

    def linear(state: State, name: str, inputs: int, outputs: int, scale: float = 1.0) -> None:
        state[f"{name}.weight"] = randn(outputs, inputs, scale=scale / math.sqrt(inputs))
        state[f"{name}.bias"] = randn(outputs, scale=0.2 * scale)

    def blocks(state: State, name: str) -> None:
        for index in range(LAYERS):
            block = f"{name}.resblocks.{index}"
            norm(state, f"{block}.ln_1")
            state[f"{block}.attn.in_proj_weight"] = randn(3 * WIDTH, WIDTH, scale=2 / math.sqrt(WIDTH))
            state[f"{block}.attn.in_proj_bias"] = randn(3 * WIDTH, scale=0.2)
            linear(state, f"{block}.attn.out_proj", WIDTH, WIDTH, SMALL)
            norm(state, f"{block}.ln_2")
            linear(state, f"{block}.mlp.c_fc", WIDTH, 4 * WIDTH)
            linear(state, f"{block}.mlp.c_proj", 4 * WIDTH, WIDTH, SMALL)

    def tower(state: State, name: str, transformer: str) -> None:
        state[f"{name}.class_embedding"] = randn(WIDTH, scale=1.0)
        state[f"{name}.positional_embedding"] = randn(1 + (IMAGE // PATCH) ** 2, WIDTH, scale=0.5)
        state[f"{name}.proj"] = randn(WIDTH, EMBEDDING, scale=0.1)
        state[f"{name}.conv1.weight"] = randn(WIDTH, 3, PATCH, PATCH, scale=0.02)
        norm(state, f"{name}.ln_pre", SMALL)
        blocks(state, transformer)
        norm(state, f"{name}.ln_post")

    state: State = {"logit_scale": torch.tensor(4.6), "clip.logit_scale": torch.tensor(4.6)}
    tower(state, "clip.visual", "clip.visual.transformer")
    for name in [name for name in state if name.startswith("clip.visual.")]:
        state[name.removeprefix("clip.")] = state[name]
    tower(state, "visual_control", "visual_control.transformer.transformer")
    for index in range(LAYERS):
        linear(state, f"visual_control.transformer.zero_modules.{index}", WIDTH, WIDTH)
    if text:
        state["clip.positional_embedding"] = randn(77, WIDTH, scale=SMALL)
        state["clip.text_projection"] = randn(WIDTH, EMBEDDING, scale=0.1)
        state["clip.token_embedding.weight"] = randn(49408, WIDTH, scale=SMALL)
        norm(state, "clip.ln_final")
        blocks(state, "clip.transformer")
    return state


def layer_norm(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    centred = x - x.mean(dim=-1, keepdim=True)
    spread = ((centred**2).mean(dim=-1, keepdim=True) + 1e-5).sqrt()
    return centred / spread * state[f"{name}.weight"] + state[f"{name}.bias"]


def block(state: State, name: str, x: torch.Tensor, *, causal: bool = False) -> torch.Tensor:
    normed = layer_norm(state, f"{name}.ln_1", x)
    mixed = normed @ state[f"{name}.attn.in_proj_weight"].T + state[f"{name}.attn.in_proj_bias"]
    query, key, value = mixed[:, :WIDTH], mixed[:, WIDTH : 2 * WIDTH], mixed[:, 2 * WIDTH :]
    heads = []
    for head in range(HEADS):
        part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        logits = query[:, part] @ key[:, part].T / math.sqrt(WIDTH // HEADS)
        if causal:
            for row in range(len(logits)):
                logits[row, row + 1 :] = -math.inf
        heads.append(logits.softmax(dim=1) @ value[:, part])
    out = torch.cat(heads, dim=1)
    x = x + out @ state[f"{name}.attn.out_proj.weight"].T + state[f"{name}.attn.out_proj.bias"]
    hidden = layer_norm(state, f"{name}.ln_2", x) @ state[f"{name}.mlp.c_fc.weight"].T
    hidden = hidden + state[f"{name}.mlp.c_fc.bias"]
    hidden = hidden * 0.5 * (1 + torch.erf(hidden / math.sqrt(2)))
    return x + hidden @ state[f"{name}.mlp.c_proj.weight"].T + state[f"{name}.mlp.c_proj.bias"]


def tokens(state: State, name: str, image: torch.Tensor) -> torch.Tensor:
    """(3, S, S) -> (L, C)."""
    rows = [state[f"{name}.class_embedding"]]
    for top in range(0, IMAGE, PATCH):
        for left in range(0, IMAGE, PATCH):
            patch = image[:, top : top + PATCH, left : left + PATCH]
            rows.append((state[f"{name}.conv1.weight"] * patch).sum(dim=(1, 2, 3)))
    x = torch.stack(rows) + state[f"{name}.positional_embedding"]
    return layer_norm(state, f"{name}.ln_pre", x)


def projected(state: State, name: str, x: torch.Tensor) -> torch.Tensor:
    embedding = layer_norm(state, f"{name}.ln_post", x[0]) @ state[f"{name}.proj"]
    return embedding / embedding.norm()


def embeddings(state: State, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Normalised pixels (3, S, S) -> content and degradation, (D,) of length one."""
    state = {name: value.double() for name, value in state.items()}
    image = image.double()
    x, controls = tokens(state, "visual_control", image), []
    for index in range(LAYERS):
        x = block(state, f"visual_control.transformer.transformer.resblocks.{index}", x)
        zero = f"visual_control.transformer.zero_modules.{index}"
        controls.append(x @ state[f"{zero}.weight"].T + state[f"{zero}.bias"])
    degradation = projected(state, "visual_control", x)
    x = tokens(state, "clip.visual", image)
    for index in range(LAYERS):
        x = block(state, f"clip.visual.transformer.resblocks.{index}", x) + controls.pop()
    return projected(state, "clip.visual", x), degradation


def words(state: State) -> torch.Tensor:
    """(K, D) of length one, each word padded to 77 tokens as CLIP's tokenizer does."""
    state = {name: value.double() for name, value in state.items()}
    found = []
    for ids in WORDS:
        padded = [49406, *ids, 49407] + [0] * (75 - len(ids))
        x = state["clip.token_embedding.weight"][padded] + state["clip.positional_embedding"]
        for index in range(LAYERS):
            x = block(state, f"clip.transformer.resblocks.{index}", x, causal=True)
        end = layer_norm(state, "clip.ln_final", x[len(ids) + 1]) @ state["clip.text_projection"]
        found.append(end / end.norm())
    return torch.stack(found)


def seen(picture: np.ndarray) -> torch.Tensor:
    """(H, W, 3) uint8 -> (3, S, S): what Pillow makes of it, by the rules of torchvision."""
    from PIL import Image

    height, width = picture.shape[:2]
    size = (224, 224 * height // width) if width <= height else (224 * width // height, 224)
    resized = np.asarray(Image.fromarray(picture).resize(size, Image.BICUBIC))
    left, top = int(round((size[0] - 224) / 2.0)), int(round((size[1] - 224) / 2.0))  # noqa: RUF046
    pixels = torch.tensor(resized[top : top + 224, left : left + 224].transpose(2, 0, 1)).double() / 255
    mean = torch.tensor([0.48145466, 0.4578275, 0.40821073], dtype=torch.float64)
    std = torch.tensor([0.26862954, 0.26130258, 0.27577711], dtype=torch.float64)
    return (pixels - mean[:, None, None]) / std[:, None, None]
