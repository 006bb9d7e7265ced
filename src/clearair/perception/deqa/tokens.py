"""The question DeQA-Score is asked, and the five words it may answer with, as numbers of its vocabulary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from clearair.errors import ModelError
from clearair.percepts import LEVELS

TOKENIZER = "tokenizer.model"
_BEFORE = "USER: How would you rate the quality of this image?\n"
_AFTER = "\nASSISTANT: The quality of the image is"


@dataclass(frozen=True)
class Prompt:
    """Text, image, text; the next word is the answer."""

    before: tuple[int, ...]
    """Text in front of the image, with the token that begins a sequence."""
    after: tuple[int, ...]
    """Text behind the image."""
    levels: tuple[int, ...]
    """The five words, from excellent to bad."""


LLAMA_PROMPT = Prompt(
    before=(1, 3148, 1001, 29901, 1128, 723, 366, 6554, 278, 11029, 310, 445, 1967, 29973, 13),
    after=(29871, 13, 22933, 9047, 13566, 29901, 450, 11029, 310, 278, 1967, 338),
    levels=(15129, 1781, 6534, 6460, 4319),
)
"""The same in the vocabulary of LLaMA-2, for a folder that comes without its tokenizer."""


def read_prompt(folder: Path, vocabulary: int) -> Prompt:
    """The prompt in the words of the tokenizer beside the weights.

    Raises ModelError when the tokenizer is broken or does not belong to a model of that vocabulary.
    """
    path = folder / TOKENIZER
    if not path.exists():
        if max(*LLAMA_PROMPT.before, *LLAMA_PROMPT.after, *LLAMA_PROMPT.levels) >= vocabulary:
            raise ModelError(f"{path}: is missing, and {vocabulary} words are not LLaMA-2's vocabulary.")
        return LLAMA_PROMPT
    prompt = _tokenized(path)
    if max(*prompt.before, *prompt.after, *prompt.levels) >= vocabulary:
        raise ModelError(f"{path}: has more words than the model, which knows {vocabulary}.")
    if len(set(prompt.levels)) < len(LEVELS):
        raise ModelError(f"{path}: cannot tell the words {', '.join(LEVELS)} apart.")
    return prompt


def _tokenized(path: Path) -> Prompt:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise ModelError("DeQA-Score needs sentencepiece: pip install 'clearair[deqa]'.") from error
    tokenizer = SentencePieceProcessor()
    try:
        # From memory: given a path, sentencepiece would print its own error.
        tokenizer.LoadFromSerializedProto(path.read_bytes())
    except (OSError, RuntimeError) as error:
        raise ModelError(f"{path}: not a SentencePiece model.") from error
    return Prompt(
        before=(tokenizer.bos_id(), *tokenizer.encode(_BEFORE)),
        after=tuple(tokenizer.encode(_AFTER)),
        levels=tuple(tokenizer.encode(word)[0] for word in LEVELS),
    )
