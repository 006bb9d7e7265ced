"""SAM 2 on one image, written from its authors' architecture over their names, in plain float64.

Shares no code with the package, nor with transformers. Shapes: S = side of the square, P points, C channels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

TRUNK, NECK = "image_encoder.trunk.", "image_encoder.neck."
PROMPT, DECODER = "sam_prompt_encoder.", "sam_mask_decoder."


class Reference:
    """Sizes are the authors' own: stages, windows, global blocks and heads of Hiera, heads of the decoder."""

    def __init__(
        self,
        tensors: Mapping[str, Tensor],
        *,
        side: int,
        stages: list[int],
        windows: list[int],
        far: list[int],
        heads: int,
        decoder_heads: int,
    ) -> None:
        self.w = {name: value.double() for name, value in tensors.items()}
        self.side, self.stages, self.windows, self.far = side, stages, windows, far
        self.heads, self.decoder_heads = heads, decoder_heads

    def linear(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"])

    def norm(self, x: Tensor, name: str, eps: float) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], self.w[f"{name}.weight"], self.w[f"{name}.bias"], eps)

    def conv(self, x: Tensor, name: str, **how: Any) -> Tensor:
        return F.conv2d(x, self.w[f"{name}.weight"], self.w[f"{name}.bias"], **how)

    def pixels(self, image: np.ndarray) -> Tensor:
        """(H, W, 3) uint8 -> (1, 3, S, S)."""
        values = torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255
        size = (self.side, self.side)
        values = F.interpolate(values, size, mode="bilinear", align_corners=False, antialias=True).double()
        return standardised(values)

    def features(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(1, 3, S, S) -> the image at a 16th, an 8th and a quarter of its side."""
        w = self.w
        x = self.conv(pixels, TRUNK + "patch_embed.proj", stride=4, padding=3).permute(0, 2, 3, 1)
        whole = F.interpolate(w[TRUNK + "pos_embed"], size=x.shape[1:3], mode="bicubic")
        window = w[TRUNK + "pos_embed_window"]
        tiles = [one // other for one, other in zip(whole.shape, window.shape, strict=True)]
        x = x + (whole + window.tile(tiles)).permute(0, 2, 3, 1)
        levels = []
        for stage, blocks in enumerate(self.stages):
            for index in range(blocks):
                number = sum(self.stages[:stage]) + index
                pooled = stage > 0 and index == 0
                # The block that pools still has the windows of the stage before.
                side = 0 if number in self.far else self.windows[stage - pooled]
                x = self.block(x, f"{TRUNK}blocks.{number}", self.heads * 2**stage, side, pooled)
            levels.append(x.permute(0, 3, 1, 2))
        seen: list[Tensor] = []
        for number, level in enumerate(reversed(levels)):
            lateral = self.conv(level, f"{NECK}convs.{number}.conv")
            # Only the second coarsest level receives from above.
            seen.append(
                lateral + seen[0].repeat_interleave(2, 2).repeat_interleave(2, 3) if number == 1 else lateral
            )
        fine, finest = self.conv(seen[2], DECODER + "conv_s1"), self.conv(seen[3], DECODER + "conv_s0")
        return seen[1] + w["no_mem_embed"].reshape(1, -1, 1, 1), fine, finest

    def block(self, x: Tensor, name: str, heads: int, side: int, pooled: bool) -> Tensor:
        """(1, H, W, C) -> (1, H', W', C'), attention within windows of `side`, or without when it is 0."""
        kept, x = x, self.norm(x, f"{name}.norm1", 1e-6)
        if pooled:
            kept = _pool(self.linear(x, f"{name}.proj"))
        height, width = x.shape[1:3]
        side_h, side_w = (side, side) if side else (height, width)
        x = F.pad(x, (0, 0, 0, -width % side_w, 0, -height % side_h))
        found = torch.zeros(
            1, *(length // (2 if pooled else 1) for length in x.shape[1:3]), kept.shape[3]
        ).double()
        for top in range(0, x.shape[1], side_h):
            for left in range(0, x.shape[2], side_w):
                view = x[:, top : top + side_h, left : left + side_w]
                query, key, value = self.linear(view, f"{name}.attn.qkv").chunk(3, dim=-1)
                query = _pool(query) if pooled else query
                mixed = _attention(*(part.flatten(1, 2) for part in (query, key, value)), heads)
                out = self.linear(mixed, f"{name}.attn.proj").reshape(query.shape)
                y, z = (top // 2, left // 2) if pooled else (top, left)
                found[:, y : y + out.shape[1], z : z + out.shape[2]] = out
        x = kept + found[:, : kept.shape[1], : kept.shape[2]]
        wide = F.gelu(self.linear(self.norm(x, f"{name}.norm2", 1e-6), f"{name}.mlp.layers.0"))
        return x + self.linear(wide, f"{name}.mlp.layers.1")

    def positions(self, places: Tensor) -> Tensor:
        """(..., 2) x, y in 0..1 -> (..., C)."""
        matrix = self.w[PROMPT + "pe_layer.positional_encoding_gaussian_matrix"]
        angle = 2 * math.pi * ((2 * places - 1) @ matrix)
        return torch.cat([angle.sin(), angle.cos()], dim=-1)

    def masks(self, features: tuple[Tensor, Tensor, Tensor], points: Tensor) -> tuple[Tensor, Tensor]:
        """(P, 2) points x, y in the square -> logits (P, 3, S / 4, S / 4) and predicted IoUs (P, 3)."""
        w, (image, fine, finest), count = self.w, features, len(points)
        point = self.positions((points + 0.5) / self.side) + w[PROMPT + "point_embeddings.1.weight"]
        empty = w[PROMPT + "not_a_point_embed.weight"].expand(count, -1)
        learned = [w[f"{DECODER}{name}.weight"] for name in ("obj_score_token", "iou_token", "mask_tokens")]
        tokens = torch.cat([torch.cat(learned).expand(count, -1, -1), torch.stack([point, empty], 1)], dim=1)
        side = image.shape[-1]
        middles = (torch.arange(side).double() + 0.5) / side
        y, x = torch.meshgrid(middles, middles, indexing="ij")
        where = self.positions(torch.stack([x, y], dim=-1)).flatten(0, 1)
        keys = (image + w[PROMPT + "no_mask_embed.weight"].reshape(1, -1, 1, 1)).flatten(2).transpose(1, 2)
        queries, keys = tokens, keys.expand(count, -1, -1)
        for number in range(2):
            layer = f"{DECODER}transformer.layers.{number}"
            if number == 0:
                queries = self.attend(queries, queries, queries, f"{layer}.self_attn")
            else:
                asked = queries + tokens
                queries = queries + self.attend(asked, asked, queries, f"{layer}.self_attn")
            queries = self.norm(queries, f"{layer}.norm1", 1e-5)
            read = self.attend(queries + tokens, keys + where, keys, f"{layer}.cross_attn_token_to_image")
            queries = self.norm(queries + read, f"{layer}.norm2", 1e-5)
            wide = F.relu(self.linear(queries, f"{layer}.mlp.layers.0"))
            queries = self.norm(queries + self.linear(wide, f"{layer}.mlp.layers.1"), f"{layer}.norm3", 1e-5)
            told = self.attend(keys + where, queries + tokens, queries, f"{layer}.cross_attn_image_to_token")
            keys = self.norm(keys + told, f"{layer}.norm4", 1e-5)
        last = f"{DECODER}transformer.final_attn_token_to_image"
        queries = queries + self.attend(queries + tokens, keys + where, keys, last)
        queries = self.norm(queries, f"{DECODER}transformer.norm_final_attn", 1e-5)
        square = keys.transpose(1, 2).reshape(count, -1, side, side)
        larger = self.upscaled(square, "output_upscaling.0") + fine
        larger = self.norm(larger.permute(0, 2, 3, 1), f"{DECODER}output_upscaling.1", 1e-6)
        larger = F.gelu(self.upscaled(F.gelu(larger).permute(0, 3, 1, 2), "output_upscaling.3") + finest)
        logits = []
        for number in (1, 2, 3):  # mask 0 is for prompts that leave no doubt
            weights = self.head(queries[:, 2 + number], f"{DECODER}output_hypernetworks_mlps.{number}")
            logits.append(torch.einsum("pc,pchw->phw", weights, larger))
        sure = self.head(queries[:, 1], f"{DECODER}iou_prediction_head").sigmoid()
        return torch.stack(logits, dim=1), sure[:, 1:]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, name: str) -> Tensor:
        parts = zip((query, key, value), "qkv", strict=True)
        mixed = _attention(*(self.linear(x, f"{name}.{part}_proj") for x, part in parts), self.decoder_heads)
        return self.linear(mixed, f"{name}.out_proj")

    def upscaled(self, x: Tensor, name: str) -> Tensor:
        weight, bias = self.w[f"{DECODER}{name}.weight"], self.w[f"{DECODER}{name}.bias"]
        return F.conv_transpose2d(x, weight, bias, stride=2)

    def head(self, x: Tensor, name: str) -> Tensor:
        for number in (0, 1):
            x = F.relu(self.linear(x, f"{name}.layers.{number}"))
        return self.linear(x, f"{name}.layers.2")


def standardised(square: Tensor) -> Tensor:
    """(B, 3, S, S) in 0..1 -> as SAM 2 was trained."""
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]], dtype=torch.float64)[
        :, :, None, None
    ]
    return (square - mean) / std


def _attention(query: Tensor, key: Tensor, value: Tensor, heads: int) -> Tensor:
    """(B, L, C), (B, L', C), (B, L', C) -> (B, L, C)."""
    out = []
    for q, k, v in zip(*(part.chunk(heads, dim=-1) for part in (query, key, value)), strict=True):
        out.append(torch.softmax(q @ k.transpose(1, 2) / math.sqrt(q.shape[-1]), dim=-1) @ v)
    return torch.cat(out, dim=-1)


def _pool(x: Tensor) -> Tensor:
    """(1, H, W, C) -> (1, H / 2, W / 2, C)."""
    return F.max_pool2d(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
