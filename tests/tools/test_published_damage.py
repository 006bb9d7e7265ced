from published_damage import PUBLISHED, as_table

from clearair.data.degradations import KINDS
from clearair.data.degradations.haze import BETA


def test_data_sets_stand_in_the_order_of_the_kinds():
    order = [KINDS.index(each.kind) for each in PUBLISHED]
    assert order == sorted(order)


def test_every_statement_names_its_paper():
    assert all(each.stated and each.source[-4:].isdigit() for each in PUBLISHED)


def test_what_is_drawn_is_read_from_the_degradations():
    haze = next(each for each in PUBLISHED if each.name == "RESIDE-ITS")
    assert f"{BETA[0]:g} to {BETA[1]:g}" in haze.drawn


def test_the_table_has_a_row_for_each_data_set():
    lines = as_table(PUBLISHED).splitlines()
    assert len(lines) == 2 + len(PUBLISHED)
    assert {line.count("|") for line in lines} == {6}
