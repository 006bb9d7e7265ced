"""Runs DeQA-Score on images.

Shapes: B images, H x W pixels, E channels of the language model.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from clearair.errors import UsageError
from clearair.perception.deqa.image import pixel_values
from clearair.perception.deqa.loading import PRECISIONS, load_network, read_sizes
from clearair.perception.deqa.network import DeqaNetwork
from clearair.perception.deqa.shards import CONFIG, INDEX, Shards
from clearair.perception.deqa.tokens import TOKENIZER, Prompt, read_prompt
from clearair.percepts import LEVELS, Floats, Quality

if TYPE_CHECKING:
    from PIL.Image import Image

_BATCH = 4
"""Images in a batch."""
_WORTH = torch.arange(len(LEVELS), 0, -1, dtype=torch.float32)


class DeqaQuality:
    """How good: assesses whole images. Frozen; the same image gives the same answer."""

    name = "deqa"

    def __init__(
        self,
        network: DeqaNetwork,
        prompt: Prompt,
        *,
        precision: str,
        device: torch.device,
        files: Sequence[Path] = (),
    ) -> None:
        """`files` are those that it was made from."""
        self.files = tuple(files)
        self.network = network.eval()
        self.prompt = prompt
        self._kind, self._device = PRECISIONS[precision], device

    @property
    def embedding_dim(self) -> int:
        """Entries of the embedding, 4096 at full size."""
        return self.network.config.decoder.hidden_size

    @property
    def quality_dim(self) -> int:
        """The same, under the name that a mix of perceivers uses."""
        return self.embedding_dim

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of its files, hexadecimal. Not of its precision, which changes answers but little."""
        digest = hashlib.sha256(str(self.network.config).encode())
        for path in self.files:
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        return digest.hexdigest()

    def to(self, device: torch.device | str) -> DeqaQuality:
        """Does nothing, since a model of this size may be spread over several devices. Returns itself."""
        return self

    @torch.inference_mode()
    def assess(self, images: Sequence[NDArray[Any] | Image]) -> Quality:
        """Score, levels and embedding of each image (PIL, or (H, W, 3) uint8), of any and differing sizes.

        Raises ImageError when one is not such an image.
        """
        levels, embeddings = [torch.zeros(0, len(LEVELS))], [torch.zeros(0, self.embedding_dim)]
        for start in range(0, len(images), _BATCH):
            hidden, logits = self.network(self._pixels(images[start : start + _BATCH]), self.prompt)
            levels.append(logits.float().cpu().softmax(dim=1))
            embeddings.append(hidden.float().cpu())
        probabilities = torch.cat(levels)
        return Quality(
            score=_array(probabilities @ _WORTH),
            levels=_array(probabilities),
            embedding=_array(torch.cat(embeddings)),
        )

    def _pixels(self, images: Sequence[NDArray[Any] | Image]) -> Tensor:
        """(B, 3, S, S)."""
        side = self.network.config.vision.image_size
        values = np.stack([pixel_values(image, side) for image in images])
        return torch.from_numpy(values).to(self._device, self._kind)


def load_deqa(
    folder: Path | None,
    *,
    device: str = "cpu",
    precision: str = "fp32",
    config: Mapping[str, Any] | Path | str | None = None,
) -> DeqaQuality:
    """DeQA-Score from the folder its authors publish.

    `config` (in the format of its `config.json`, or the path of one) overrides what that file says. What is
    needed in memory is said on stderr first. Raises ModelError and UsageError.
    """
    if folder is None:
        raise UsageError("The perceiver 'deqa' needs weights: the folder of DeQA-Score as it is published.")
    shards = Shards(folder)
    sizes = read_sizes(shards, config)
    prompt = read_prompt(folder, sizes.decoder.vocab_size)  # before the long wait for the weights
    network = load_network(shards, sizes, device=device, precision=precision, batch=_BATCH)
    place = _input_device(network)
    return DeqaQuality(network, prompt, precision=precision, device=place, files=files_of(folder))


def files_of(folder: Path) -> tuple[Path, ...]:
    """The files of a folder that decide what DeqaQuality answers."""
    shards = Shards(folder)
    beside = (folder / name for name in (CONFIG, INDEX, TOKENIZER))
    return (*shards.paths, *(path for path in beside if path.exists()))


def _input_device(network: DeqaNetwork) -> torch.device:
    """The device for images: that of the vision tower, or the one to which accelerate moves its weights."""
    device = network.model.vision_model.post_layernorm.weight.device
    return torch.device("cpu") if device.type == "meta" else device


def _array(values: Tensor) -> Floats:
    array: Floats = values.numpy()
    return array
