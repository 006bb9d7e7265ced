"""What a user says is wrong, checked and turned into percepts."""

from dataclasses import replace

import numpy as np
import pytest
import skimage.data

from clearair.errors import UsageError
from clearair.perception import load_compact
from clearair.perception.cache import CachedPerceiver
from clearair.perception.daclip.tokens import WORDS
from clearair.perception.telling import (
    caution_of,
    check_kinds,
    expected,
    found_in,
    known_kinds,
    parse_damage,
    tell,
    told,
)
from tests.perception.conftest import same_percepts

KINDS = ("noise", "jpeg", "haze", "rain", "raindrop", "snow", "blur", "lowlight")


@pytest.fixture(scope="module")
def perceiver():
    return load_compact()


@pytest.fixture(scope="module")
def percepts(perceiver):
    return perceiver.perceive_image(skimage.data.chelsea()[:120, :160])


@pytest.mark.parametrize(
    ("damage", "kinds"),
    [
        ("auto", None),
        (["auto"], None),
        ("none", ()),
        ("haze", ("haze",)),
        ("haze, Rain", ("haze", "rain")),
        (["haze"], ("haze",)),
        (("rain,haze", "rain"), ("rain", "haze")),
        ("all sorts", ("all sorts",)),
    ],
)
def test_kinds_are_named_by_text_or_list(damage, kinds):
    assert parse_damage(damage) == kinds


@pytest.mark.parametrize("damage", ["", "haze,", [], [""], None, 3, b"haze", ["haze", 3]])
def test_what_names_nothing_is_refused(damage):
    with pytest.raises(UsageError):
        parse_damage(damage)


@pytest.mark.parametrize("damage", ["auto,haze", ["none", "haze"], "auto,none"])
def test_auto_and_none_do_not_mix_with_kinds(damage):
    with pytest.raises(UsageError, match="cannot be combined"):
        parse_damage(damage)


def test_a_misspelt_kind_is_answered_with_the_nearest():
    with pytest.raises(UsageError) as caught:
        check_kinds(("rain", "hase"), KINDS)
    assert str(caught.value) == (
        "There is no damage 'hase'; did you mean 'haze'? "
        "Kinds: noise, jpeg, haze, rain, raindrop, snow, blur, lowlight, or auto, none."
    )
    with pytest.raises(UsageError, match=r"^There is no damage 'xyzzy'\. Kinds: noise"):
        check_kinds(("xyzzy",), KINDS)
    check_kinds((), ())


@pytest.mark.parametrize("known", [(), tuple(WORDS)])
def test_perceivers_without_such_words_refuse_in_one_line(known):
    with pytest.raises(UsageError, match="do not support named damage") as caught:
        check_kinds(("haze",), known)
    assert "\n" not in str(caught.value)


def test_the_kinds_are_those_of_the_percepts(perceiver, percepts, tmp_path):
    cached = CachedPerceiver(perceiver, tmp_path)
    assert known_kinds(perceiver) == known_kinds(cached) == percepts.names == KINDS
    assert caution_of(perceiver) == caution_of(cached) == perceiver.caution


def test_named_kinds_are_sure_and_all_others_absent_everywhere(percepts):
    said = told(percepts, ("haze", "rain"))
    assert {name: value for name, value in zip(KINDS, said.probabilities, strict=True) if value} == {
        "haze": 1.0,
        "rain": 1.0,
    }
    assert (said.local_probabilities == said.probabilities).all()
    assert said.local_probabilities.shape == percepts.local_probabilities.shape
    np.testing.assert_array_equal(said.guidance.degradation, percepts.guidance.degradation)
    assert (said.tone, said.change) == (1.0, 1.0)
    nothing = told(percepts, ())
    assert (nothing.tone, nothing.change) == (0.0, 0.0)
    assert told(percepts, ("noise",)).tone == 0.0


def test_a_cache_tells_what_its_perceiver_tells(perceiver, percepts, tmp_path):
    cached = CachedPerceiver(perceiver, tmp_path)
    ours, its = (tell(who, percepts, ("haze",)) for who in (perceiver, cached))
    assert same_percepts(ours, its)


def test_what_is_listed_is_what_speaks_for_a_change(perceiver, percepts):
    caution = perceiver.caution
    for kind in KINDS:
        assert found_in(told(percepts, (kind,)), caution) == {kind: 1.0}
    assert found_in(told(percepts, ()), caution) == {}
    doubt, sure = caution.ramp("rain")
    values = np.zeros(len(KINDS), np.float32)
    values[KINDS.index("rain")] = (doubt + sure) / 2
    values[KINDS.index("noise")] = 1.0
    values[KINDS.index("blur")] = caution.ramp("blur")[0]
    likely = found_in(replaced(percepts, values), caution)
    assert list(likely) == ["noise", "rain"]


def test_nothing_is_listed_exactly_where_nothing_will_be_changed(perceiver, percepts):
    rng = np.random.default_rng(0)
    for _ in range(50):
        values = rng.random(len(KINDS), np.float32) ** 6
        change = perceiver.caution.shares(values[None], KINDS).change
        assert bool(found_in(replaced(percepts, values), perceiver.caution)) == bool(change[0] > 0)


def test_expected_says_what_a_cautious_model_will_do(perceiver, percepts):
    assert str(expected(perceiver, told(percepts, ()))) == "nothing found: will be left as it is"
    assert str(expected(perceiver, told(percepts, ("haze",)))) == "haze 100 %: will be restored"


def replaced(percepts, probabilities):
    return replace(percepts, probabilities=probabilities)


@pytest.mark.parametrize("damage", [{"haze": 0.1}, (kind for kind in ["haze"]), iter(["haze"])])
def test_what_can_be_read_only_once_or_says_more_than_names_is_refused(damage):
    with pytest.raises(UsageError, match="names of kinds"):
        parse_damage(damage)


@pytest.mark.parametrize("kind", ["haze rain", "haze;rain", "haze+rain"])
def test_another_separator_than_a_comma_is_named(kind):
    with pytest.raises(UsageError, match="commas"):
        check_kinds((kind,), KINDS)
