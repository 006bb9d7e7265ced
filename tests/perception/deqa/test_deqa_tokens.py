"""The question and the five words."""

from __future__ import annotations

import pytest
import sentencepiece

from clearair.errors import ModelError
from clearair.perception.deqa.tokens import LLAMA_PROMPT, read_prompt


def test_the_prompt_is_split_at_the_image_and_begins_once(tmp_path, tokenizer):
    (tmp_path / "tokenizer.model").write_bytes(tokenizer)
    prompt = read_prompt(tmp_path, 400)
    words = sentencepiece.SentencePieceProcessor(model_proto=tokenizer)
    assert prompt.before[0] == words.bos_id() == 1
    assert 1 not in prompt.before[1:] + prompt.after
    assert words.decode(list(prompt.before)) == "USER: How would you rate the quality of this image?\n"
    assert words.decode(list(prompt.after)) == "\nASSISTANT: The quality of the image is"
    # As LLaMA's: a space of its own, then the line break as a byte.
    assert [words.id_to_piece(word) for word in prompt.after[:2]] == ["▁", "<0x0A>"]
    assert [words.id_to_piece(word) for word in prompt.levels] == [
        f"▁{level}" for level in ("excellent", "good", "fair", "poor", "bad")
    ]


def test_without_a_tokenizer_it_is_asked_in_the_words_of_llama(tmp_path):
    prompt = read_prompt(tmp_path, 32000)
    assert prompt == LLAMA_PROMPT
    assert len(prompt.before) + 1 + len(prompt.after) == 28
    assert prompt.after[:2] == (29871, 13)
    assert prompt.levels == (15129, 1781, 6534, 6460, 4319)


LLAMA = {
    1: "<s>", 13: "\n", 278: "▁the", 310: "▁of", 338: "▁is", 366: "▁you", 445: "▁this", 450: "▁The",
    723: "▁would", 1001: "ER", 1128: "▁How", 1781: "▁good", 1967: "▁image", 3148: "▁US", 4319: "▁bad",
    6460: "▁poor", 6534: "▁fair", 6554: "▁rate", 9047: "IST", 11029: "▁quality", 13566: "ANT",
    15129: "▁excellent", 22933: "ASS", 29871: "▁", 29901: ":", 29973: "?",
}  # fmt: skip
"""Entries of LLaMA's vocabulary."""


def test_the_words_of_llama_spell_the_question():
    before, after, levels = (
        "".join(LLAMA[word] for word in words).replace("▁", " ")
        for words in (LLAMA_PROMPT.before, LLAMA_PROMPT.after, LLAMA_PROMPT.levels)
    )
    assert before == "<s> USER: How would you rate the quality of this image?\n"
    assert after == " \nASSISTANT: The quality of the image is"
    assert levels == " excellent good fair poor bad"


def test_a_small_vocabulary_needs_its_tokenizer(tmp_path):
    with pytest.raises(ModelError, match=r"tokenizer\.model"):
        read_prompt(tmp_path, 400)


def test_a_tokenizer_with_more_words_than_the_model_is_refused(tmp_path, tokenizer):
    (tmp_path / "tokenizer.model").write_bytes(tokenizer)
    with pytest.raises(ModelError, match="more words than the model, which knows 40"):
        read_prompt(tmp_path, 40)


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"\x80\x04cos\nsystem\n"])
def test_a_broken_tokenizer_is_one_line(tmp_path, content, capfd):
    (tmp_path / "tokenizer.model").write_bytes(content)
    with pytest.raises(ModelError, match=r"tokenizer\.model: not a SentencePiece model"):
        read_prompt(tmp_path, 400)
