"""Official names for the tensors of a transformers `Sam2Model`, written out module by module."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn


def official_tensors(model: Any) -> dict[str, Tensor]:
    out: dict[str, Tensor] = {}

    def put(name: str, module: nn.Module) -> None:
        out.update({f"{name}.{key}": value.detach().clone() for key, value in module.state_dict().items()})

    trunk, backbone = "image_encoder.trunk", model.vision_encoder.backbone
    out[f"{trunk}.pos_embed"] = backbone.pos_embed.detach().clone()
    out[f"{trunk}.pos_embed_window"] = backbone.pos_embed_window.detach().clone()
    put(f"{trunk}.patch_embed.proj", backbone.patch_embed.projection)
    for index, block in enumerate(backbone.blocks):
        name = f"{trunk}.blocks.{index}"
        put(f"{name}.norm1", block.layer_norm1)
        put(f"{name}.attn", block.attn)
        put(f"{name}.norm2", block.layer_norm2)
        put(f"{name}.mlp.layers.0", block.mlp.proj_in)
        put(f"{name}.mlp.layers.1", block.mlp.proj_out)
        if hasattr(block, "proj"):
            put(f"{name}.proj", block.proj)
    for index, conv in enumerate(model.vision_encoder.neck.convs):
        put(f"image_encoder.neck.convs.{index}.conv", conv)

    prompt, encoder = "sam_prompt_encoder", model.prompt_encoder
    matrix = encoder.shared_embedding.positional_embedding.detach().clone()
    out[f"{prompt}.pe_layer.positional_encoding_gaussian_matrix"] = matrix
    for index in range(4):
        point = encoder.point_embed.weight[index : index + 1]
        out[f"{prompt}.point_embeddings.{index}.weight"] = point.detach().clone()
    put(f"{prompt}.not_a_point_embed", encoder.not_a_point_embed)
    put(f"{prompt}.no_mask_embed", encoder.no_mask_embed)
    embed = encoder.mask_embed
    parts = {0: embed.conv1, 1: embed.layer_norm1, 3: embed.conv2, 4: embed.layer_norm2, 6: embed.conv3}
    for index, part in parts.items():
        put(f"{prompt}.mask_downscaling.{index}", part)

    name, decoder = "sam_mask_decoder", model.mask_decoder
    for index, layer in enumerate(decoder.transformer.layers):
        here = f"{name}.transformer.layers.{index}"
        for attention in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token"):
            _put_attention(put, f"{here}.{attention}", getattr(layer, attention))
        for norm in (1, 2, 3, 4):
            put(f"{here}.norm{norm}", getattr(layer, f"layer_norm{norm}"))
        put(f"{here}.mlp.layers.0", layer.mlp.proj_in)
        put(f"{here}.mlp.layers.1", layer.mlp.proj_out)
    _put_attention(
        put, f"{name}.transformer.final_attn_token_to_image", decoder.transformer.final_attn_token_to_image
    )
    put(f"{name}.transformer.norm_final_attn", decoder.transformer.layer_norm_final_attn)
    for token in ("iou_token", "mask_tokens", "obj_score_token", "conv_s0", "conv_s1"):
        put(f"{name}.{token}", getattr(decoder, token))
    put(f"{name}.output_upscaling.0", decoder.upscale_conv1)
    put(f"{name}.output_upscaling.1", decoder.upscale_layer_norm)
    put(f"{name}.output_upscaling.3", decoder.upscale_conv2)
    heads = {
        f"output_hypernetworks_mlps.{i}": head for i, head in enumerate(decoder.output_hypernetworks_mlps)
    }
    heads |= {"iou_prediction_head": decoder.iou_prediction_head}
    heads |= {"pred_obj_score_head": decoder.pred_obj_score_head}
    for head, mlp in heads.items():
        for index, layer in enumerate([mlp.proj_in, *mlp.layers, mlp.proj_out]):
            put(f"{name}.{head}.layers.{index}", layer)

    out["no_mem_embed"] = model.no_memory_embedding.detach().clone()
    return out


def _put_attention(put: Any, name: str, attention: nn.Module) -> None:
    for ours, theirs in {
        "q_proj": "q_proj",
        "k_proj": "k_proj",
        "v_proj": "v_proj",
        "o_proj": "out_proj",
    }.items():
        put(f"{name}.{theirs}", getattr(attention, ours))
