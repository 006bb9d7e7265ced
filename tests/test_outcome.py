"""What is said of a photo: one wording, without contradictions."""

import json

import pytest

from clearair.outcome import Outcome, by_share, percent


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        (Outcome({"rain": 0.92, "haze": 0.41}, changed=True), "rain 92 %, haze 41 %: restored"),
        (Outcome(share=0.0, changed=False), "nothing found: left as it is"),
        (Outcome(told=("haze",), changed=True), "named haze: restored"),
        (Outcome(told=("haze", "rain"), share=0.3, changed=True), "named haze, rain: restored at 30 %"),
        (Outcome(told=(), share=0.0, changed=False), "named none: left as it is"),
        (Outcome({"haze": 0.9}, told=(), share=0.0, changed=False), "named none: left as it is"),
        (Outcome({"haze": 0.64}, share=0.5, changed=True), "haze 64 %: restored by half"),
        (
            Outcome({"rain": 0.92}, share=0.0, changed=False),
            "rain 92 %: left as it is, since the strength is 0",
        ),
        (
            Outcome({"rain": 0.92}, changed=False),
            "rain 92 %: left as it is, since the change is too small to alter a pixel",
        ),
        (
            Outcome({"haze": 0.9}, keep_tone=True, changed=True),
            "haze 90 %: restored, exposure and colour kept, so haze stays",
        ),
        (
            Outcome(told=("haze", "rain", "lowlight"), keep_tone=True, changed=True),
            "named haze, rain, lowlight: restored, exposure and colour kept, so haze and lowlight stay",
        ),
        (
            Outcome(changed=True),
            "nothing found: restored all the same, as this model restores every photo",
        ),
        (Outcome(wordless=True, changed=True), "restored"),
        (
            Outcome({"rain": 0.92}, changed=True, tiles=4000, tiles_left=1200),
            "rain 92 %: restored, 1,200 of 4,000 tiles needed nothing",
        ),
        (
            Outcome({"rain": 0.92}, keep_tone=True, changed=True, tiles=4, tiles_left=1),
            "rain 92 %: restored, exposure and colour kept, 1 of 4 tiles needed nothing",
        ),
        (Outcome({"rain": 0.92}, changed=True, tiles=4), "rain 92 %: restored"),
        (
            Outcome({"rain": 0.92}, changed=False, tiles=4, tiles_left=4),
            "rain 92 %: left as it is, since no change would be seen",
        ),
        (
            Outcome({"rain": 0.92}, changed=False, tiles=4, tiles_left=1),
            "rain 92 %: left as it is, since the change is too small to alter a pixel",
        ),
        (Outcome({"rain": 0.92}), "rain 92 %: will be restored"),
        (Outcome({"rain": 0.29}, share=0.3), "rain 29 %: will be restored at 30 %"),
        (Outcome(share=0.0), "nothing found: will be left as it is"),
    ],
)
def test_a_line_says_what_was_found_and_what_was_done(outcome, text):
    assert str(outcome) == text


def test_what_may_be_tried_is_said_only_where_nothing_was_found_or_done():
    assert "--damage KIND" in Outcome(share=0.0, changed=False).hint
    assert "--damage KIND" in Outcome(share=0.0).hint
    for outcome in (
        Outcome(told=(), share=0.0, changed=False),
        Outcome({"rain": 0.9}, share=0.0, changed=False),
        Outcome(changed=True),
    ):
        assert not outcome.hint


def test_what_is_done_to_exposure_and_colour():
    assert Outcome({"haze": 0.9}).done_to_tone == "exposure and colour corrected"
    assert Outcome({"rain": 0.9}, tone=0.5).done_to_tone == "exposure and colour corrected by half"
    assert Outcome({"rain": 0.9}, tone=0.0).done_to_tone == "exposure and colour kept"
    assert not Outcome(share=0.0).done_to_tone


def test_only_a_photo_of_which_pixels_differ_was_restored():
    assert Outcome(changed=True).restored
    assert not Outcome(changed=False).restored
    assert not Outcome(share=0.0, changed=False).restored


def test_shares_are_not_rounded_to_nothing_or_everything():
    assert [percent(value) for value in (0, 0.004, 0.41, 0.996, 1)] == [
        "0 %",
        "under 1 %",
        "41 %",
        "99 %",
        "100 %",
    ]
    assert [by_share(value) for value in (0.004, 0.3, 0.5, 0.98, 1)] == [
        " at under 1 %",
        " at 30 %",
        " by half",
        " at 98 %",
        "",
    ]


@pytest.mark.parametrize(("told", "word"), [(None, "auto"), ((), "none"), (("haze",), ["haze"])])
def test_a_report_has_the_word_that_the_option_takes(told, word):
    outcome = Outcome({"rain": 0.91234}, told=told, changed=True, tiles=9, tiles_left=2)
    values = json.loads(json.dumps(outcome.to_dict()))
    assert values["damage"] == word
    assert (values["found"], values["share"], values["changed"]) == ({"rain": 0.912}, 1.0, True)
    assert (values["tiles"], values["tiles_left"]) == (9, 2)
    assert values["text"] == str(outcome)
