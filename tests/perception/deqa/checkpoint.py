"""A folder as the authors of DeQA-Score publish one, with few and random weights.

Written from the published names, without a line of the loader's. Weights are small where a norm follows, so
that its eps, 1e-5 or 1e-6, makes a difference.
"""

from __future__ import annotations

import copy
import io
import json
from pathlib import Path
from typing import Any

import sentencepiece
import torch
from safetensors.torch import save_file
from torch import Tensor

TINY: dict[str, Any] = {
    "architectures": ["MPLUGOwl2LlamaForCausalLM"],
    "model_type": "mplug_owl2",
    "hidden_act": "silu",
    "hidden_size": 32,
    "intermediate_size": 44,
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "rms_norm_eps": 1e-5,
    "rope_scaling": None,
    "vocab_size": 400,
    "visual_config": {
        "visual_model": {
            "hidden_act": "quick_gelu",
            "hidden_size": 24,
            "image_size": 42,
            "intermediate_size": 40,
            "layer_norm_eps": 1e-6,
            "num_attention_heads": 3,
            "num_hidden_layers": 2,
            "patch_size": 14,
        },
        "visual_abstractor": {
            "encoder_hidden_size": 24,
            "grid_size": 3,
            "hidden_size": 24,
            "intermediate_size": 28,
            "layer_norm_eps": 1e-6,
            "num_attention_heads": 4,
            "num_hidden_layers": 2,
            "num_learnable_queries": 5,
        },
    },
}

_TEXT = """USER: How would you rate the quality of this image? ASSISTANT: The quality of the image is good.
The quality of this image is excellent. The quality of this image is fair, poor, bad.
How good is the image? USER: Would you rate this image? ASSISTANT: The image is poor. It is excellent.
bad image, fair image, good image, excellent image, poor image. bad bad, poor poor, fair fair."""


def official_weights(config: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """Random values under the published names."""
    random = torch.Generator().manual_seed(seed)
    weights: dict[str, Tensor] = {}

    def add(name: str, *shape: int, scale: float, centre: float = 0.0) -> None:
        weights[name] = centre + scale * torch.randn(shape, generator=random)

    def linear(name: str, outputs: int, inputs: int, *, bias: bool = True, gain: float = 1.0) -> None:
        add(f"{name}.weight", outputs, inputs, scale=gain / inputs**0.5)
        if bias:
            add(f"{name}.bias", outputs, scale=0.02)

    def norm(name: str, size: int, *, bias: bool = True, size_out: float = 1.0) -> None:
        add(f"{name}.weight", size, scale=0.3 * size_out, centre=size_out)
        if bias:
            add(f"{name}.bias", size, scale=0.1 * size_out)

    vision = config["visual_config"]["visual_model"]
    width, patch = vision["hidden_size"], vision["patch_size"]
    tower = "model.vision_model"
    add(f"{tower}.embeddings.cls_token", 1, 1, width, scale=0.01)
    add(f"{tower}.embeddings.patch_embed.weight", width, 3, patch, patch, scale=0.0003)
    tokens = 1 + (vision["image_size"] // patch) ** 2
    add(f"{tower}.embeddings.position_embedding", 1, tokens, width, scale=0.01)
    norm(f"{tower}.embeddings.pre_layernorm", width, size_out=0.02)
    for n in range(vision["num_hidden_layers"]):
        layer = f"{tower}.encoder.layers.{n}"
        norm(f"{layer}.input_layernorm", width)
        linear(f"{layer}.self_attn.query_key_value", 3 * width, width, gain=2)
        linear(f"{layer}.self_attn.dense", width, width, gain=0.03)
        norm(f"{layer}.post_attention_layernorm", width)
        linear(f"{layer}.mlp.fc1", vision["intermediate_size"], width)
        linear(f"{layer}.mlp.fc2", width, vision["intermediate_size"], gain=0.03)
    norm(f"{tower}.post_layernorm", width, size_out=0.02)

    config_of = config["visual_config"]["visual_abstractor"]
    size, wide, queries = (
        config_of[name] for name in ("hidden_size", "intermediate_size", "num_learnable_queries")
    )
    language = config["hidden_size"]
    eye = "model.visual_abstractor"
    add(f"{eye}.query_embeds", 1, queries, size, scale=0.02)
    add(f"{eye}.vit_eos", 1, 1, language, scale=0.02)
    linear(f"{eye}.visual_fc", language, size, gain=0.02)
    for n in range(config_of["num_hidden_layers"]):
        cross = f"{eye}.encoder.layers.{n}.crossattention"
        norm(f"{cross}.norm1", size, size_out=0.02)
        norm(f"{cross}.normk", size)
        # The published tables are sines and cosines, but a loader must take what is stored.
        add(f"{cross}.attention.q_pos_embed", queries, size, scale=0.7)
        add(f"{cross}.attention.k_pos_embed", 1 + config_of["grid_size"] ** 2, size, scale=0.7)
        for name in ("query", "key", "value"):
            linear(f"{cross}.attention.{name}", size, size, gain=1.5)
        linear(f"{cross}.output.out_proj", size, size, gain=0.02)
        norm(f"{cross}.output.norm2", size)
        linear(f"{cross}.output.mlp.w1", wide, size, gain=0.02)
        linear(f"{cross}.output.mlp.w3", wide, size, gain=0.02)
        norm(f"{cross}.output.mlp.ffn_ln", wide)
        linear(f"{cross}.output.mlp.w2", size, wide, gain=0.03)

    head = language // config["num_attention_heads"]
    small = head * config.get("num_key_value_heads", config["num_attention_heads"])
    add("model.embed_tokens.weight", config["vocab_size"], language, scale=0.02)
    for n in range(config["num_hidden_layers"]):
        layer = f"model.layers.{n}"
        for way in (0, 1):
            norm(f"{layer}.input_layernorm.multiway.{way}", language, bias=False)
            norm(f"{layer}.post_attention_layernorm.multiway.{way}", language, bias=False)
            linear(f"{layer}.self_attn.k_proj.multiway.{way}", small, language, bias=False, gain=2)
            linear(f"{layer}.self_attn.v_proj.multiway.{way}", small, language, bias=False)
        linear(f"{layer}.self_attn.q_proj", language, language, bias=False, gain=2)
        linear(f"{layer}.self_attn.o_proj", language, language, bias=False, gain=0.03)
        linear(f"{layer}.mlp.gate_proj", config["intermediate_size"], language, bias=False)
        linear(f"{layer}.mlp.up_proj", config["intermediate_size"], language, bias=False)
        linear(f"{layer}.mlp.down_proj", language, config["intermediate_size"], bias=False, gain=0.03)
    norm("model.norm", language, bias=False)
    linear("lm_head", config["vocab_size"], language, bias=False, gain=2)
    return weights


def write_shards(folder: Path, weights: dict[str, Tensor], count: int = 3) -> None:
    """Several safetensors files and the index that says which tensor is where."""
    folder.mkdir(parents=True, exist_ok=True)
    names = list(weights)
    where: dict[str, str] = {}
    for number in range(count):
        shard = f"model-{number + 1:05}-of-{count:05}.safetensors"
        part = names[number * len(names) // count : (number + 1) * len(names) // count]
        save_file({name: weights[name] for name in part}, folder / shard, metadata={"format": "pt"})
        where |= dict.fromkeys(part, shard)
    total = sum(value.nbytes for value in weights.values())
    index = {"metadata": {"total_size": total}, "weight_map": where}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))


def write_config(folder: Path, config: dict[str, Any]) -> None:
    (folder / "config.json").write_text(json.dumps(config))


def tiny_config(**changes: Any) -> dict[str, Any]:
    return copy.deepcopy(TINY) | changes


def tiny_tokenizer() -> bytes:
    """A SentencePiece model with LLaMA's settings, learnt from a few sentences."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_TEXT.splitlines()),
        model_writer=model,
        model_type="bpe",
        vocab_size=370,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=True,
        hard_vocab_limit=False,
        minloglevel=2,
    )
    return model.getvalue()
