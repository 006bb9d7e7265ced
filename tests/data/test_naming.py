import pytest

from clearair.data.naming import named
from clearair.errors import UsageError


def test_kinds_are_named_in_one_text_or_several_in_any_case():
    assert named("haze") == ("haze",)
    assert named("Rain, haze,rain") == ("rain", "haze")
    assert named(["Rain,HAZE", "noise"]) == ("rain", "haze", "noise")


@pytest.mark.parametrize(
    ("kinds", "said"),
    [
        ("hase", "no damage 'hase'; did you mean 'haze'"),
        ("fire", "no damage 'fire'. Kinds: noise, "),
        ("haze rain", "separated by commas"),
        ("haze,,rain", "a kind in every place"),
        ("", "a kind in every place"),
        ([], "such as haze"),
        (3, "are names"),
        ([3], "are names"),
        (None, "are names"),
    ],
)
def test_what_names_no_kind_is_refused(kinds, said):
    with pytest.raises(UsageError, match=said):
        named(kinds)
