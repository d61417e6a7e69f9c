"""What measures computes in full float32 precision on every backend."""

import jax
import jax.numpy as jnp
import pytest

from colddiff_jax import metrics
from colddiff_jax.feature_nets import array_networks
from colddiff_jax.feature_nets.classifier import Classifier
from colddiff_jax.feature_nets.inception_network import Inception

FULL = jax.lax.Precision.HIGHEST
IMAGES = jax.ShapeDtypeStruct((2, 64, 64, 3), jnp.float32)
LARGE = jax.ShapeDtypeStruct((2, 176, 176, 1), jnp.float32)


def network(model, shape):
    x = jnp.zeros(shape)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), x))
    return jax.make_jaxpr(model.apply)(params, x)


def arrays(apply, **shapes):
    params = {
        name.replace("__", "/"): jax.ShapeDtypeStruct(shape, jnp.float32)
        for name, shape in shapes.items()
    }
    return jax.make_jaxpr(apply)(params, IMAGES)


def resnet():
    shapes = {"conv1__w": (3, 3, 3, 16), "conv1__b": (16,)}
    for name, channels, width in array_networks._resnet_blocks({"layer1_0/conv1/w": 0}):
        name = name.replace("/", "__")
        shapes[f"{name}__conv1__w"] = (3, 3, channels, width)
        shapes[f"{name}__conv2__w"] = (3, 3, width, width)
        shapes[f"{name}__conv1__b"] = shapes[f"{name}__conv2__b"] = (width,)
    shapes |= {"linear__w": (64, 10), "linear__b": (10,)}
    return arrays(array_networks._apply_resnet, **shapes)


def mobilenet():
    widths = array_networks._MOBILENET_WIDTHS
    shapes = {"conv1__w": (3, 3, 3, widths[0]), "conv1__b": (widths[0],)}
    for i in range(1, len(widths)):
        shapes[f"dw{i}__w"] = (3, 3, widths[i - 1])
        shapes[f"dw{i}__b"] = (widths[i - 1],)
        shapes[f"pw{i}__w"] = (widths[i - 1], widths[i])
        shapes[f"pw{i}__b"] = (widths[i],)
    return arrays(array_networks._apply_mobilenet, **shapes)


MEASURES = {
    "classifier": lambda: network(Classifier(7), (2, 28, 28, 1)),
    "inception": lambda: network(Inception(), (1, 299, 299, 3)),
    "resnet": resnet,
    "mobilenet": mobilenet,
    "ssim": lambda: jax.make_jaxpr(metrics.ssim)(IMAGES, IMAGES),
    "ms_ssim": lambda: jax.make_jaxpr(metrics.ms_ssim)(LARGE, LARGE),
}


def products(jaxpr):
    """Yields all matrix products and convolutions, also of nested programs."""
    for equation in jaxpr.eqns:
        if equation.primitive.name in ("dot_general", "conv_general_dilated"):
            yield equation
        for inner in jax.tree.leaves(
            equation.params, is_leaf=lambda value: hasattr(value, "eqns")
        ):
            inner = getattr(inner, "jaxpr", inner)
            if hasattr(inner, "eqns"):
                yield from products(inner)


@pytest.mark.parametrize("name", MEASURES)
def test_all_products_have_full_precision(name):
    found = list(products(MEASURES[name]().jaxpr))
    assert found
    for equation in found:
        assert equation.params["precision"] in (FULL, (FULL, FULL)), equation
