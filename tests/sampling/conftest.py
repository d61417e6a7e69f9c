"""Every sampler with a degradation that it takes."""

import jax
import pytest

import colddiff_jax as cd
from tests.sampling.samplers import SAMPLERS, T, gaussian_blur


@pytest.fixture(params=SAMPLERS)
def name(request):
    return request.param


@pytest.fixture
def sampler(name):
    return SAMPLERS[name]


@pytest.fixture
def blur():
    return gaussian_blur()


@pytest.fixture
def degrade(name, photos):
    if name == "ddim":
        noise = cd.gaussian_noise(cd.schedules.cosine(T))
        return noise.bind(jax.random.key(0), photos.shape)
    return gaussian_blur()
