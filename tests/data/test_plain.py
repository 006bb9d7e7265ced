import numpy as np

from clearair.data.plain import HEIGHT, WIDTH, plain_pictures


def test_they_are_always_the_same_and_none_like_another():
    pictures, again = plain_pictures(), plain_pictures()
    assert len(pictures) >= 19
    for name, pixels in pictures.items():
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        assert pixels.dtype == np.uint8
        np.testing.assert_array_equal(pixels, again[name])
    assert len({pixels.tobytes() for pixels in pictures.values()}) == len(pictures)
