"""Tiny files of the paper's three perceivers, as their authors publish them."""

from __future__ import annotations

from pathlib import Path

from tests.perception.daclip.conftest import saved
from tests.perception.daclip.reference import random_state
from tests.perception.deqa.checkpoint import TINY as TINY_DEQA
from tests.perception.deqa.checkpoint import official_weights, tiny_tokenizer, write_config, write_shards
from tests.perception.sam2.conftest import tiny_sam2


def write_paper_files(root: Path) -> None:
    """Folders `deqa` and `sam2`, and `daclip.pt`."""
    write_shards(root / "deqa", official_weights(TINY_DEQA))
    write_config(root / "deqa", TINY_DEQA)
    (root / "deqa" / "tokenizer.model").write_bytes(tiny_tokenizer())
    tiny_sam2().save_pretrained(root / "sam2")
    saved(root / "daclip.pt", random_state())
