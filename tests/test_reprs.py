"""Objects that hold arrays are shown in one line."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import colddiff_jax as cd
from colddiff_jax import data, sampling
from colddiff_jax.experiment.data import RunData
from colddiff_jax.models.preconditioning import Scales
from colddiff_jax.reprs import ShortPartial, short_repr
from colddiff_jax.training.state import create_state

X = np.zeros((100, 16, 16, 3), np.uint8)
SHOWN = {
    "ImageSplits(100 training and 9 test images, 16 x 16 x 3)": data.arrays(X, X[:9]),
    "ImageSplits(9 training and 3 test images, 16 x 16 x 3, 2 classes)": data.arrays(
        X[:9], X[:3], train_labels=np.arange(9) % 2, test_labels=np.ones(3, int)
    ),
    "RunData(splits=ImageSplits(100 training and 9 test images, 16 x 16 x 3), "
    "endpoints=None, paired=False)": RunData(data.arrays(X, X[:9]), None),
    "Batch(images=uint8[100, 16, 16, 3], labels=None, endpoints=None)": data.Batch(X),
    "EmpiricalPrior(images=float32[4, 8, 8, 1])": sampling.EmpiricalPrior(
        jnp.zeros((4, 8, 8, 1))
    ),
    "PerturbedPrior(prior=NormalPrior(image_shape=(8, 8, 3)), std=0.002)": (
        sampling.PerturbedPrior(sampling.NormalPrior((8, 8, 3)), 0.002)
    ),
    "SampleResult(x_0=float32[2, 8, 8, 1], direct=float32[2, 8, 8, 1], "
    "trajectory=None, predictions=None, nonfinite_step=None)": cd.SampleResult(
        *(jnp.zeros((2, 8, 8, 1)) for _ in range(2))
    ),
    "Scales(input=(0.5, 0.5, 0.5, 0.5, 0.5, 0.5, ...), skip=(1.0,), output=(1.0,))": (
        Scales(1000 * (0.5,), (1.0,), (1.0,))
    ),
    "TrainState(1,203 parameters, step 0)": create_state(
        {"kernel": jnp.zeros((401, 3))}, optax.adam(1e-3)
    ),
}


@pytest.mark.parametrize("text", SHOWN)
def test_one_line_has_shapes_in_place_of_arrays(text):
    assert repr(SHOWN[text]) == text


def test_a_fitted_prior_a_model_and_its_restorer_are_short():
    restorer = cd.load("digits-generate")
    for shown in (restorer, restorer.model, restorer.prior, restorer.degradation):
        assert "\n" not in repr(shown) and len(repr(shown)) < 130
    assert repr(restorer.model) == "Model(pixelate(T=8, 16 x 16), unet, 16 x 16 x 1)"


def test_a_restore_fn_is_one_line_whatever_it_holds():
    deblur = cd.load("photo-deblur")
    network = deblur.model.network_fn(deblur.params)
    name = type(deblur.model.network).__name__
    assert repr(network) == f"Partial({name}.apply, {{'params': {{...}}}})"
    assert repr(deblur.restore_fn).startswith(f"Consistent(restore_fn={network!r}, ")
    guided = sampling.guide(network, jnp.arange(3), scale=2.0, null_label=10)
    arguments = f"Partial({name}.apply, {{...}}), int32[3], int32[], float32[]"
    assert repr(guided) == f"Partial(_guided, {arguments})"


def _affine(a, x, *, b):
    return a * x + b["value"]


def test_a_short_partial_is_a_partial_and_a_pytree():
    fn = ShortPartial(_affine, jnp.float32(2), b={"value": jnp.ones(3)})
    assert isinstance(fn, jax.tree_util.Partial)
    assert repr(fn) == "Partial(_affine, float32[], b={'value': float32[3]})"
    zeros = jax.tree.map(jnp.zeros_like, fn)
    assert type(zeros) is ShortPartial and (zeros(5.0) == 0).all()
    assert jax.tree.structure(zeros) == jax.tree.structure(fn)
    assert (jax.jit(lambda fn, x: fn(x))(fn, 5.0) == 11).all()
    nested = ShortPartial(fn)  # Its function is a partial, whose arrays are kept.
    assert (jax.jit(lambda fn, x: fn(x))(nested, 5.0) == 11).all()
    assert "\n" not in repr(nested) and "Array" not in repr(nested)


def test_values_are_not_needed():
    prior = sampling.EmpiricalPrior(jnp.zeros((4, 8, 8, 1)))
    state = create_state({"kernel": jnp.zeros(3)}, optax.sgd(0.1))
    shown = []
    jax.eval_shape(lambda *given: shown.extend(map(repr, given)), prior, state)
    assert shown[0] == "EmpiricalPrior(images=float32[4, 8, 8, 1])"
    assert shown[1].startswith("TrainState(3 parameters, step ")


class Several(NamedTuple):
    weights: dict
    text: str
    other: object

    def __repr__(self) -> str:
        return short_repr(self)


@dataclasses.dataclass
class Lines:
    def __repr__(self):
        return "first\n    second"


def test_trees_long_texts_and_several_lines_are_shortened():
    tree = {f"layer {i}": {"kernel": X, "bias": {"a": X}} for i in range(100)}
    text = repr(Several(tree, 1000 * "a", Lines()))
    assert len(text) < 600 and "\n" not in text
    assert "uint8[100, 16, 16, 3]" in text and "other=first second" in text
