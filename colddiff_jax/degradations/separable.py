"""Linear degradations that are separable into two matrix products."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any, Self

import chex
import jax
import jax.numpy as jnp
import numpy as np

from colddiff_jax.degradations import base


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True, eq=False)
class Separable:
    """A separable linear degradation, D(x, t) = A_t x B_t^T per channel.

    Made by `gaussian_blur`, `heat_blur` and `pixelate`.

    Attributes:
        operators: (A, B) for rows and columns, float32 [T, H, H] and [T, W, W] for
            steps 1..T; just (A,) for square images, whose axes share it.
        num_steps: T.
        factors: from `with_factors`: the singular value decompositions (U, s, V) of A
            and B for all steps, U and V [T, S, S], or [1, S, S] if all steps share
            them, and s [T, S]; or None.
        name: the function that made it.

    Example:
        >>> blur = gaussian_blur((24, 32), 5 * [1.0], kernel_size=5)
        >>> [operator.shape for operator in blur.operators]
        [(5, 24, 24), (5, 32, 32)]
    """

    operators: tuple[chex.Array, ...]
    num_steps: int = dataclasses.field(metadata={"static": True})
    factors: tuple[tuple[chex.Array, ...], ...] | None = None
    name: str = dataclasses.field(default="separable", metadata={"static": True})

    def __repr__(self) -> str:
        rows, columns = self.operators[0], self.operators[-1]
        size = np.shape(rows)[-1:] + np.shape(columns)[-1:]
        return base.describe(self.name, self.num_steps, size)

    def with_factors(self) -> Self:
        """Returns this degradation with all that `pseudo_inverse` would compute anew.

        For T steps of S x S tables, this takes the time of T decompositions and twice
        the memory of the tables.
        """
        factors = tuple(
            tuple(
                jnp.asarray(factor, jnp.float32)
                for factor in np.linalg.svd(np.asarray(operator, np.float64))
            )
            for operator in self.operators
        )
        return dataclasses.replace(self, factors=factors)

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Returns self: there is nothing to draw."""
        del key, shape
        return self

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """Returns D(x, t) for float images x [B, H, W, C] and integer t [] or [B]."""
        rows, columns = self.operators[0], self.operators[-1]
        image_size = (rows.shape[-1], columns.shape[-1])
        x, t = base.check_call(x, t, self.num_steps, image_size)
        entry = jnp.maximum(t, 1) - 1
        image = x.astype(jnp.float32)
        product = precise_einsum("...ij,...jwc->...iwc", rows[entry], image)
        x_t = precise_einsum("...kw,...iwc->...ikc", columns[entry], product)
        return base.keep_clean(x, x_t, t)

    def pseudo_inverse(
        self,
        y: chex.Array,
        t: chex.Numeric,
        *,
        cutoff: float,
        damping: chex.Numeric = 0.0,
    ) -> chex.Array:
        """Returns A^+ y B^+^T; see `Linear`.

        The singular values of the map are the products of those of A and B.
        """
        rows, columns = self.operators[0], self.operators[-1]
        image_size = (rows.shape[-1], columns.shape[-1])
        y, t = base.check_call(y, t, self.num_steps, image_size)
        entry = jnp.maximum(t, 1) - 1
        factors: list[Any]
        if self.factors is None:
            factors = [jnp.linalg.svd(operator[entry]) for operator in self.operators]
        else:
            factors = [
                tuple(x[0] if len(x) == 1 else x[entry] for x in axis)
                for axis in self.factors
            ]
        (U, row_values, V), (P, column_values, Q) = factors[0], factors[-1]
        image = y.astype(jnp.float32)
        modes = precise_einsum("...ij,...iwc->...jwc", U, image)
        modes = precise_einsum("...wk,...jwc->...jkc", P, modes)
        singular_values = row_values[..., :, None] * column_values[..., None, :]
        # Values below the rounding error of the tables are meaningless.
        rounding = jnp.finfo(jnp.float32).eps * max(image_size)
        smallest = jnp.maximum(cutoff, rounding * singular_values.max())
        singular_values = singular_values.reshape(-1, *image_size, 1)
        modes = base.divide(modes, singular_values, smallest, damping)
        x = precise_einsum("...ji,...jkc->...ikc", V, modes)
        x = precise_einsum("...kw,...ikc->...iwc", Q, x)
        return base.keep_clean(image, x, t)


def precise_einsum(subscripts: str, *operands: chex.Array) -> chex.Array:
    """Computes an einsum without bfloat16 or TF32 products.

    Algorithm 2 subtracts two nearly equal images, so rounding errors would dominate.
    """
    return jnp.einsum(subscripts, *operands, precision=jax.lax.Precision.HIGHEST)


def make_separable(name: str, tables: Sequence[np.ndarray]) -> Separable:
    """Makes the degradation `name` from (A,) or (A, B), each float64 [T, S, S]."""
    return Separable(
        operators=tuple(jnp.asarray(table, jnp.float32) for table in tables),
        num_steps=len(tables[0]),
        name=name,
    )


def distinct_sides(image_size: tuple[int, int]) -> tuple[int, ...]:
    """Returns (H, W), or (H,) for square images, whose axes share a table."""
    return image_size[:1] if image_size[0] == image_size[1] else image_size


def cumulative(steps: Iterable[np.ndarray]) -> np.ndarray:
    """Returns K_1, K_2 K_1, ... as float64 [T, S, S], given K_i per step."""
    operators: list[np.ndarray] = []
    for step in steps:
        # A product with the identity would take seconds for a large photograph.
        operators.append(step @ operators[-1] if operators else step)
    return np.stack(operators)
