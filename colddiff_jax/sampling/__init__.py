"""Samplers: from a degraded image x_T back to x_0, each a single `jax.lax.scan`.

Every sampler calls the restorer R for a prediction x0_hat of the clean image and steps
from t to s < t along the degradation D, visiting the given `timesteps`:

    x0_hat  = R(x_t, t)
    Alg. 1:   x_s = D(x0_hat, s)
    Alg. 2:   x_s = x_t - D(x0_hat, t) + D(x0_hat, s)

`sample_heun` and `sample_ab2` use more accurate predictions in Algorithm 2,
`sample_ddim` and `sample_momentum` add noise, `sample_ihd` takes an R that predicts the
step before, and `guide` conditions R on labels. All samplers share one signature and
are interchangeable. None is jitted, so that they compose with `jit`, `pmap`, `vmap` and
`grad`. This form compiles once for all parameters, images and degradations of the same
shapes:

    restore_fn = jax.tree_util.Partial(model.apply, {"params": ema_params})
    result = jax.jit(sample_alg2)(restore_fn, degrade, x_T)

Reference:
    Bansal et al. (2022), arXiv:2208.09392, section 3. The network is given t in
    1..T; the official code passes t - 1 and calls Algorithm 1 `default`, Algorithm 2
    `x0_step_down`.
"""

from collections.abc import Callable

from colddiff_jax.sampling.algorithms import restore_direct, sample_alg1, sample_alg2
from colddiff_jax.sampling.batches import BatchSampler
from colddiff_jax.sampling.consistency import (
    EIGHT_BITS,
    FLOAT_NOISE,
    Consistent,
    consistent,
    data_consistency,
    project_onto_data,
)
from colddiff_jax.sampling.guidance import guide
from colddiff_jax.sampling.heat_dissipation import sample_ihd
from colddiff_jax.sampling.mixture_prior import MixturePrior, fit_prior
from colddiff_jax.sampling.priors import (
    ColorPrior,
    EmpiricalPrior,
    NormalPrior,
    PerturbedPrior,
    Prior,
    break_symmetry,
    interpolated,
)
from colddiff_jax.sampling.second_order import sample_ab2, sample_heun
from colddiff_jax.sampling.stochastic import sample_ddim, sample_momentum
from colddiff_jax.sampling.tiling import Tiled
from colddiff_jax.sampling.timesteps import (
    Restart,
    equal_change,
    equal_log_severity,
    equal_stride,
    measured_severity,
)
from colddiff_jax.sampling.trajectory import RestoreFn, SampleResult

__all__ = [
    "EIGHT_BITS",
    "FLOAT_NOISE",
    "SAMPLERS",
    "BatchSampler",
    "ColorPrior",
    "Consistent",
    "EmpiricalPrior",
    "MixturePrior",
    "NormalPrior",
    "PerturbedPrior",
    "Prior",
    "Restart",
    "RestoreFn",
    "SampleResult",
    "Tiled",
    "break_symmetry",
    "consistent",
    "data_consistency",
    "equal_change",
    "equal_log_severity",
    "equal_stride",
    "fit_prior",
    "guide",
    "interpolated",
    "measured_severity",
    "project_onto_data",
    "restore_direct",
    "sample_ab2",
    "sample_alg1",
    "sample_alg2",
    "sample_ddim",
    "sample_heun",
    "sample_ihd",
    "sample_momentum",
]

SAMPLERS: dict[str, Callable[..., SampleResult]] = {
    "direct": restore_direct,
    "alg1": sample_alg1,
    "alg2": sample_alg2,
    "heun": sample_heun,
    "ab2": sample_ab2,
    "ddim": sample_ddim,
    "ihd": sample_ihd,
}
"""The samplers by the names that the programs and configurations use."""
