import pytest

from clearair.ablation.budget import Budget, read_budget
from clearair.errors import UsageError
from clearair.training.restorer.recipes import compact, smoke


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("200steps", Budget(200, "steps")),
        ("1 step", Budget(1, "steps")),
        ("30min", Budget(30, "minutes")),
        ("0.5 minutes", Budget(0.5, "minutes")),
    ],
)
def test_a_budget_is_steps_or_minutes(text, budget):
    assert read_budget(text) == budget


@pytest.mark.parametrize("text", ["200", "", "steps", "1.5steps", "0steps", "-3min", "2 hours", "1.2.3min"])
def test_anything_else_is_refused_in_one_line(text):
    with pytest.raises(UsageError) as error:
        read_budget(text)
    assert "\n" not in str(error.value)


def test_the_learning_rate_rises_and_falls_within_the_steps():
    recipe = Budget(60, "steps").shorten(compact())
    rates = [recipe.rate(step) for step in range(60)]
    assert rates[6:40] == [1.0] * 34
    assert rates[0] < 1
    assert rates[-1] < 0.1


@pytest.mark.parametrize("steps", [1, 2, 3, 10])
def test_a_budget_of_few_steps_is_a_schedule_too(steps):
    recipe = Budget(steps, "steps").shorten(smoke())
    assert all(0 < recipe.rate(step) <= 1 for step in range(steps))


def test_a_run_by_the_clock_keeps_its_rate_until_it_is_told():
    recipe = Budget(5, "minutes").shorten(compact())
    assert recipe.rate(10_000) == recipe.rate(1_000_000) == 1.0
