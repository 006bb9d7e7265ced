"""DeQA-Score once more, from its description: one token and one head at a time, in float64.

Slow and plain, to hold the perceiver against. `w` is the dictionary of published names, c the config.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import PIL.Image
from numpy.typing import NDArray

Array = NDArray[np.float64]
Weights = dict[str, Array]


def pixels(image: PIL.Image.Image, side: int) -> Array:
    """Pad to a square with the mean colour, resize, scale to [0, 1], normalise: (3, side, side)."""
    longest = max(image.size)
    square = PIL.Image.new("RGB", (longest, longest), (122, 116, 104))
    square.paste(image, ((longest - image.width) // 2, (longest - image.height) // 2))
    small = np.asarray(square.resize((side, side), PIL.Image.Resampling.BICUBIC))
    mean, std = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
    return ((small / 255.0 - mean) / std).transpose(2, 0, 1)


def linear(x: Array, w: Weights, name: str) -> Array:
    out = np.einsum("ti,oi->to", x, w[f"{name}.weight"])
    return out + w[f"{name}.bias"] if f"{name}.bias" in w else out


def layer_norm(x: Array, w: Weights, name: str, eps: float) -> Array:
    rows = []
    for row in x:
        centred = row - row.mean()
        rows.append(centred / math.sqrt((centred**2).mean() + eps))
    return np.stack(rows) * w[f"{name}.weight"] + w[f"{name}.bias"]


def softmax(x: Array) -> Array:
    e = np.exp(x - x.max())
    return e / e.sum()


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


def attend(query: Array, key: Array, value: Array, *, causal: bool = False) -> Array:
    """One head: (T, d), (S, d), (S, d) -> (T, d), one token after another."""
    rows = []
    for t in range(len(query)):
        last = t + 1 if causal else len(key)
        scores = np.array([query[t] @ key[s] for s in range(last)]) / math.sqrt(query.shape[1])
        rows.append(sum(p * v for p, v in zip(softmax(scores), value[:last], strict=True)))
    return np.stack(rows)


def vision(image: Array, w: Weights, c: dict[str, Any]) -> Array:
    """(3, S, S) -> (1 + N, D)."""
    c, name, eps = c["visual_config"]["visual_model"], "model.vision_model", 1e-6
    patch, heads = c["patch_size"], c["num_attention_heads"]
    kernel = w[f"{name}.embeddings.patch_embed.weight"]
    tokens = [w[f"{name}.embeddings.cls_token"][0, 0]]
    for top in range(0, image.shape[1], patch):
        for left in range(0, image.shape[2], patch):
            tokens.append(np.einsum("oikl,ikl->o", kernel, image[:, top : top + patch, left : left + patch]))
    x = np.stack(tokens) + w[f"{name}.embeddings.position_embedding"][0]
    x = layer_norm(x, w, f"{name}.embeddings.pre_layernorm", eps)
    d = x.shape[1] // heads
    for n in range(c["num_hidden_layers"]):
        layer = f"{name}.encoder.layers.{n}"
        fused = linear(
            layer_norm(x, w, f"{layer}.input_layernorm", eps), w, f"{layer}.self_attn.query_key_value"
        )
        found = []
        for h in range(heads):
            q, k, v = (fused[:, h * 3 * d + i * d : h * 3 * d + (i + 1) * d] for i in range(3))
            found.append(attend(q, k, v))
        x = x + linear(np.concatenate(found, axis=1), w, f"{layer}.self_attn.dense")
        wide = linear(layer_norm(x, w, f"{layer}.post_attention_layernorm", eps), w, f"{layer}.mlp.fc1")
        x = x + linear(wide * sigmoid(1.702 * wide), w, f"{layer}.mlp.fc2")
    return layer_norm(x, w, f"{name}.post_layernorm", eps)


def visual_tokens(seen: Array, w: Weights, c: dict[str, Any]) -> Array:
    """(1 + N, D) -> (Q + 1, E)."""
    c, name = c["visual_config"]["visual_abstractor"], "model.visual_abstractor"
    heads = c["num_attention_heads"]
    x = w[f"{name}.query_embeds"][0]
    d = x.shape[1] // heads
    for n in range(c["num_hidden_layers"]):
        cross = f"{name}.encoder.layers.{n}.crossattention"
        x = layer_norm(x, w, f"{cross}.norm1", 1e-5)
        context = np.concatenate([x, layer_norm(seen, w, f"{cross}.normk", 1e-5)])
        q_place, k_place = (w[f"{cross}.attention.{which}_pos_embed"] for which in "qk")
        q = linear(x + q_place, w, f"{cross}.attention.query")
        k = linear(context + np.concatenate([q_place, k_place]), w, f"{cross}.attention.key")
        v = linear(context, w, f"{cross}.attention.value")
        found = [attend(*(each[:, h * d : (h + 1) * d] for each in (q, k, v))) for h in range(heads)]
        x = x + linear(np.concatenate(found, axis=1), w, f"{cross}.output.out_proj")
        hidden = layer_norm(x, w, f"{cross}.output.norm2", 1e-5)
        first = linear(hidden, w, f"{cross}.output.mlp.w1")
        gated = first * sigmoid(first) * linear(hidden, w, f"{cross}.output.mlp.w3")
        gated = layer_norm(gated, w, f"{cross}.output.mlp.ffn_ln", 1e-6)
        x = x + linear(gated, w, f"{cross}.output.mlp.w2")
    return np.concatenate([linear(x, w, f"{name}.visual_fc"), w[f"{name}.vit_eos"][0]])


def rms_norm(x: Array, weight: Array, eps: float) -> Array:
    return x / np.sqrt((x**2).mean(axis=-1, keepdims=True) + eps) * weight


def rotate(x: Array, theta: float) -> Array:
    """(T, d): channels i and i + d / 2 are a point in the plane, turned by position * theta ** (-2 i / d)."""
    half = x.shape[1] // 2
    out = np.empty_like(x)
    for t in range(len(x)):
        for i in range(half):
            angle = t * theta ** (-i / half)
            out[t, i] = x[t, i] * math.cos(angle) - x[t, i + half] * math.sin(angle)
            out[t, i + half] = x[t, i + half] * math.cos(angle) + x[t, i] * math.sin(angle)
    return out


def hidden_state(seen: Array, before: list[int], after: list[int], w: Weights, c: dict[str, Any]) -> Array:
    """Visual tokens (V, E) between two pieces of text -> (E,), after the last norm at the last position."""
    table, eps, heads = w["model.embed_tokens.weight"], c["rms_norm_eps"], c["num_attention_heads"]
    x = np.concatenate([table[before], seen, table[after]])
    kind = [0] * len(before) + [1] * len(seen) + [0] * len(after)
    groups, theta = c.get("num_key_value_heads", heads), c.get("rope_theta", 10000.0)
    d = x.shape[1] // heads

    def by_kind(rows: Array, name: str) -> Array:
        ways = [w[f"{name}.multiway.{way}.weight"] for way in (0, 1)]
        return np.stack([ways[way] @ row for row, way in zip(rows, kind, strict=True)])

    def norm_by_kind(rows: Array, name: str) -> Array:
        ways = [w[f"{name}.multiway.{way}.weight"] for way in (0, 1)]
        return np.stack([rms_norm(row, ways[way], eps) for row, way in zip(rows, kind, strict=True)])

    for n in range(c["num_hidden_layers"]):
        layer = f"model.layers.{n}"
        y = norm_by_kind(x, f"{layer}.input_layernorm")
        q = linear(y, w, f"{layer}.self_attn.q_proj")
        k, v = (by_kind(y, f"{layer}.self_attn.{which}_proj") for which in "kv")
        found = []
        for h in range(heads):
            g = h * groups // heads
            own, shared = slice(h * d, (h + 1) * d), slice(g * d, (g + 1) * d)
            found.append(
                attend(rotate(q[:, own], theta), rotate(k[:, shared], theta), v[:, shared], causal=True)
            )
        x = x + linear(np.concatenate(found, axis=1), w, f"{layer}.self_attn.o_proj")
        y = norm_by_kind(x, f"{layer}.post_attention_layernorm")
        gate = linear(y, w, f"{layer}.mlp.gate_proj")
        x = x + linear(
            gate * sigmoid(gate) * linear(y, w, f"{layer}.mlp.up_proj"), w, f"{layer}.mlp.down_proj"
        )
    return rms_norm(x[-1], w["model.norm.weight"], eps)


def level_logits(hidden: Array, levels: list[int], w: Weights) -> Array:
    return np.array([w["lm_head.weight"][word] @ hidden for word in levels])


def score(logits: Array) -> float:
    return float(softmax(logits) @ [5, 4, 3, 2, 1])
