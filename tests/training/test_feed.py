"""What the training step is fed with."""

from colddiff_jax.training.feed import resident_limit


def test_images_may_take_a_quarter_of_a_device_that_tells_its_memory():
    assert resident_limit(None, {"bytes_limit": 80_000}) == 20_000
    assert resident_limit(None, None) == resident_limit(None, {}) == 2e9


def test_a_limit_that_is_set_is_taken_as_it_is():
    assert resident_limit(0, {"bytes_limit": 80_000}) == 0
    assert resident_limit(3, None) == 3e6
