"""Fields of both networks: every invalid value has a one-line error."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from colddiff_jax import ConvNeXtUNet, UNet
from colddiff_jax.models.preconditioning import Preconditioned, Scales
from tests.networks import tiny_unet

NAN, INF = float("nan"), float("inf")
NOT_INTEGERS = (0, -1, 1.0, NAN, INF, "8", True, None, (1,))
NOT_SEQUENCES = (4, "12", None, NAN, (0, 1), (-1,), (1.5, 2), (1, INF), (1, None),
                 (True,), ((1, 2),))  # fmt: skip
NOT_SWITCHES = (0, 1, -1, 1.0, NAN, "yes", None, ())

# By field: what the message says is expected, valid values and invalid ones.
FIELDS = {
    "base_channels": (
        "an even integer of at least 4",
        (4, 6, np.int64(8)),
        (2, 3, 5, 8.0, *NOT_INTEGERS),
    ),
    "channel_multipliers": (
        "one or more positive integers, one per level",
        ((1,), (1, 3), [2, np.int32(1)]),
        ((), *NOT_SEQUENCES),
    ),
    "num_blocks": ("a positive integer", (1, 2), NOT_INTEGERS),
    "attention_resolutions": (
        "a sequence of positive integers, which may be empty",
        ((), (4,), [4, 1000]),
        NOT_SEQUENCES,
    ),
    "num_groups": ("a positive integer", (1, 3, 1000), NOT_INTEGERS),
    "dropout": (
        "a number in 0 <= x < 1",
        (0, 0.0, 0.5, np.float32(0.25)),
        (-1, -0.1, 1, 1.5, NAN, INF, "0.1", True, None, (0.1,)),
    ),
    "num_classes": (
        "an integer of at least 0",
        (0, 1, 10),
        tuple(value for value in NOT_INTEGERS if value != 0),
    ),
    "patch_size": ("a positive integer", (1, 2, 4), NOT_INTEGERS),
    "time_embedding": ("True or False", (True, False), NOT_SWITCHES),
    "residual": ("True or False", (True, np.True_), NOT_SWITCHES),
    "zero_output": ("True or False", (True, False), NOT_SWITCHES),
    "local": ("True or False", (True, False), NOT_SWITCHES),
    "remat": ("True or False", (True, False), NOT_SWITCHES),
    "attention_implementation": (
        "one of [None, 'xla', 'cudnn']",
        (None, "xla"),
        ("flash", "", "XLA", 0, True, NAN),
    ),
    "dtype": (
        "a floating-point dtype such as jnp.bfloat16",
        (jnp.float32, jnp.bfloat16, "float16", np.dtype("float32")),
        (None, jnp.int32, jnp.complex64, bool, "float33", 32, NAN, ()),
    ),
}
SMALL = {
    UNet: tiny_unet(),
    ConvNeXtUNet: ConvNeXtUNet(base_channels=8, channel_multipliers=(1,)),
}


def fields(network):
    return [
        field.name
        for field in dataclasses.fields(network)
        if field.name not in ("parent", "name")
    ]


def with_field(network, name, value):
    # Not `copy`, which would require hashable values.
    options = {field: getattr(SMALL[network], field) for field in fields(network)}
    return network(**options | {name: value})


def shapes(model):
    x, t = jnp.zeros((1, 8, 8, 1)), jnp.ones(1, jnp.int32)
    return jax.eval_shape(lambda: model.init_with_output(jax.random.key(0), x, t))


CASES = [(network, name) for network in SMALL for name in fields(network)]


def test_the_table_has_every_field_of_both_networks():
    assert {name for _, name in CASES} == set(FIELDS)


@pytest.mark.parametrize(("network", "name"), CASES)
def test_invalid_values_raise(network, name):
    expected, _, invalid = FIELDS[name]
    for value in invalid:
        model = with_field(network, name, value)
        with pytest.raises(ValueError) as caught:
            shapes(model)
        message = f"{name} must be {expected}, got {getattr(model, name)!r}"
        assert str(caught.value) == message


@pytest.mark.parametrize(("network", "name"), CASES)
def test_valid_values_are_accepted(network, name):
    for value in FIELDS[name][1]:
        out, _ = shapes(with_field(network, name, value))
        assert out.shape == (1, 8, 8, 1) and out.dtype == jnp.float32


def test_a_preconditioned_network_checks_its_fields():
    model = Preconditioned(tiny_unet(dropout=1.5), Scales((1.0,), (0.0,), (1.0,)))
    with pytest.raises(ValueError, match=r"dropout must be .*, got 1\.5"):
        shapes(model)


@pytest.mark.parametrize("network", SMALL)
@pytest.mark.parametrize("shape", [(), (1,), (3,), (2, 1)])
def test_raises_unless_there_is_one_step_per_image(network, shape):
    t = jnp.ones(shape, jnp.int32)
    message = r"t must be one integer per image, shape \(2,\), got shape"
    with pytest.raises(ValueError, match=message):
        SMALL[network].init(jax.random.key(0), jnp.zeros((2, 8, 8, 1)), t)
