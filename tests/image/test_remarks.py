from clearair.image.libvips import quote


def test_a_method_that_another_thread_calls_is_no_remark_on_a_file():
    assert quote("image: no property named `copy'") == ""
    assert "early" in quote("image: no property named `copy'\nVipsJpeg: ends early")
