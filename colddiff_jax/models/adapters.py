"""Networks of one's own as Flax linen modules, which training and sampling take."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import chex
import flax.linen as nn
import flax.traverse_util
import jax

from colddiff_jax.models.options import check_inputs


class FunctionNetwork(nn.Module):
    """A restorer given by two functions. Made by `from_functions`.

    Attributes:
        init_params: maps a key to the parameters, a pytree of arrays.
        predict: maps parameters, x_t and t to predictions.
        num_classes: the number of classes that `predict` knows.
        local: whether each pixel depends on its neighbourhood alone.
        size_multiple: what the sides of images must be multiples of; None for images
            of the size of the training alone.
    """

    init_params: Callable[[chex.PRNGKey], Any]
    predict: Callable[..., chex.Array]
    num_classes: int = 0
    local: bool = False
    size_multiple: int | None = None

    @nn.compact
    def __call__(self, x: chex.Array, t: chex.Array, **options: Any) -> chex.Array:
        """Returns the predictions; the options are those that `predict` accepts."""
        x = check_inputs(x, t)
        if self.is_initializing():
            params = self.init_params(self.make_rng("params"))
            for name, value in _as_dicts(params).items():
                self.put_variable("params", name, value)
        else:
            like = jax.eval_shape(self.init_params, jax.random.key(0))
            params = _from_dicts(self.variables["params"], like)
        return self.predict(params, x, t, **_accepted(self.predict, options))


class _WithoutDropout(nn.Module):
    """A linen module that has no `dropout_keys`; its parameters are the module's."""

    wrapped_module: nn.Module  # A field of the module itself may be a `network`.

    def setup(self) -> None:
        nn.share_scope(self, self.wrapped_module)

    def __call__(self, x: chex.Array, t: chex.Array, **options: Any) -> chex.Array:
        """Returns the predictions of the module."""
        return self.wrapped_module(
            x, t, **_accepted(self.wrapped_module.__call__, options)
        )

    @property
    def num_classes(self) -> int:
        """The number of classes of the module, 0 if it has none."""
        return getattr(self.wrapped_module, "num_classes", 0)

    @property
    def local(self) -> bool:
        """Whether the module is local."""
        return getattr(self.wrapped_module, "local", False)

    @property
    def size_multiple(self) -> int | None:
        """What the sides of images must be multiples of, if the module says so."""
        return getattr(self.wrapped_module, "size_multiple", None)


def from_functions(
    init: Callable[[chex.PRNGKey], Any],
    apply: Callable[..., chex.Array],
    *,
    num_classes: int = 0,
    local: bool = False,
    size_multiple: int | None = None,
) -> FunctionNetwork:
    """Makes a restorer from two functions, of any library or of none.

        params = init(key),    R(x_t, t) = apply(params, x_t, t)

    Args:
        init: maps a PRNG key to the initial parameters: a pytree of float arrays, such
            as nested dicts, or the arrays of an Equinox module.
        apply: maps parameters, degraded images x_t, float32 [B, H, W, C], in [-1, 1],
            and steps t, int32 [B], in 1..T, to predictions like x_t. It is also given
            `labels`, int32 [B], if there are classes, and in training, if it has such
            an argument, `dropout_keys`, one key per example, [B].
        num_classes: the number of classes; 0 for none. The label of no class is the
            number itself.
        local: whether each pixel of the predictions depends on its neighbourhood alone,
            so that large images are restored as they are, or in large tiles.
        size_multiple: the sides of images must be multiples of this number of pixels;
            None for a network that takes images of the size of its training alone.

    Returns:
        A Flax linen module.

    Example:
        >>> def init(key):
        ...     return {"skip": jnp.ones(()), "shade": jax.random.normal(key, ())}
        >>> def apply(params, x, t):
        ...     return params["skip"] * x + params["shade"] / t[:, None, None, None]
        >>> network = from_functions(init, apply)
        >>> x, t = jnp.zeros((2, 8, 8, 1)), jnp.array([1, 2])
        >>> network.apply(network.init(jax.random.key(0), x, t), x, t).shape
        (2, 8, 8, 1)

    Reference:
        Bansal et al. (2022), section 3.1: R may be any network of (x_t, t).
    """
    return FunctionNetwork(init, apply, num_classes, local, size_multiple)


def as_linen(network: Any) -> nn.Module:
    """Returns a network as a linen module that is called as those of this package are.

    Args:
        network: a linen module, an NNX module, whose own weights are the initial ones,
            or a network of `from_functions`. Its call takes x and t, and, if it has
            them, `labels` and `dropout_keys`; `num_classes`, `local` and
            `size_multiple` are attributes that it may have.

    Raises:
        TypeError: anything else.
        ValueError: an NNX module with state that is not a parameter.
    """
    if isinstance(network, nn.Module):
        accepts = _accepted(type(network).__call__, {"dropout_keys": None})
        return network if accepts else _WithoutDropout(network)
    from flax import nnx  # Here, for the sake of those who do not use it.

    if isinstance(network, nnx.Module):
        return _from_nnx(network)
    given = " ".join(repr(network).split())
    raise TypeError(
        "must be a Flax linen or NNX module, or two functions by "
        f"`models.from_functions(init, apply)`, got {given:.80}"
    )


def _from_nnx(module: Any) -> FunctionNetwork:
    from flax import nnx

    split: Any = nnx.split(module, nnx.Param, ...)
    definition, params, rest = split
    if kinds := {type(variable).__name__ for _, variable in nnx.to_flat_state(rest)}:
        raise ValueError(
            f"must have no state but its parameters, got {', '.join(sorted(kinds))}; "
            "leave batch normalisation and Flax's dropout out (dropout may take "
            "`dropout_keys`)"
        )
    arrays = nnx.to_pure_dict(params)  # Without the variables around them.

    def predict(params: Any, x: chex.Array, t: chex.Array, **options: Any) -> Any:
        merged = nnx.merge(definition, params)
        return merged(x, t, **_accepted(merged.__call__, options))

    return from_functions(
        lambda key: arrays,
        predict,
        num_classes=getattr(module, "num_classes", 0),
        local=getattr(module, "local", False),
        size_multiple=getattr(module, "size_multiple", None),
    )


def _accepted(function: Callable, options: dict[str, Any]) -> dict[str, Any]:
    """Returns the options without `dropout_keys` if a function has no such argument."""
    parameters = inspect.signature(function).parameters.values()
    if any(p.name == "dropout_keys" or p.kind is p.VAR_KEYWORD for p in parameters):
        return options
    return {name: x for name, x in options.items() if name != "dropout_keys"}


def _as_dicts(tree: Any) -> dict[str, Any]:
    """Returns a pytree as nested dicts with the names of its branches."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return flax.traverse_util.unflatten_dict({_names(p): leaf for p, leaf in leaves})


def _from_dicts(dicts: Mapping[str, Any], like: Any) -> Any:
    """Returns the pytree like another one that `_as_dicts` made dicts of."""
    leaves = flax.traverse_util.flatten_dict(dicts)
    return jax.tree_util.tree_map_with_path(lambda path, _: leaves[_names(path)], like)


def _names(path: tuple[Any, ...]) -> tuple[str, ...]:
    """Returns the names of a path; in files, slashes separate them."""
    names = (jax.tree_util.keystr((key,), simple=True) for key in path)
    return tuple(name.replace("/", ".") for name in names) or ("array",)
