"""Every public degradation as a fixture."""

import jax
import pytest

from tests.degradations.cases import CASES


@pytest.fixture(params=CASES)
def name(request):
    return request.param


@pytest.fixture
def make(name):
    return CASES[name]


@pytest.fixture
def degrade(make, photos):
    return make().bind(jax.random.key(0), photos.shape)
