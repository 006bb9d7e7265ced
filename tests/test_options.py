"""Options of restoring that are refused."""

import numpy as np
import pytest

from clearair import UsageError
from clearair.options import Options


@pytest.mark.parametrize("strength", [0, 1, 0.5, np.float32(0.25), np.int64(1)])
def test_a_strength_lies_from_0_to_1(strength):
    assert Options(strength=strength).strength == strength


@pytest.mark.parametrize("strength", [1.5, -0.1, "x", None, float("nan"), True])
def test_what_is_no_strength_is_refused(strength):
    with pytest.raises(UsageError, match="strength"):
        Options(strength=strength)
