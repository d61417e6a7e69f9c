"""What a degradation is, and the checks that all of them share.

Conventions, here and everywhere: images are float, NHWC, in [-1, 1], and nothing clips
them; the step t is int32 in 0..T, a scalar or one per example; D(x, 0) is x bit for bit
and D(x, T) is the most degraded image.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal, Protocol, Self, runtime_checkable

import chex
import jax
import jax.numpy as jnp
import numpy as np


@runtime_checkable
class Degradation(Protocol):
    """A degradation of growing severity, x_t = D(x_0, t) for t = 0 ... T.

    Every degradation is a frozen dataclass registered as a pytree: its tables and
    random draws are leaves, `num_steps` is static. It therefore crosses `jit`, `pmap`,
    `vmap`, `scan` and `grad` as an ordinary argument.

    Attributes:
        num_steps: T, the number of degradation steps.

    Example:
        >>> import jax, colddiff_jax as cd
        >>> stds = cd.schedules.constant(num_steps=4, value=1.0)
        >>> degrade = cd.gaussian_blur(8, stds, kernel_size=3)
        >>> degrade(jax.numpy.ones((2, 8, 8, 3)), t=4).shape
        (2, 8, 8, 3)

    Reference:
        Bansal et al. (2022), arXiv:2208.09392, section 3.
    """

    @property
    def num_steps(self) -> int:
        """T, the number of degradation steps."""
        ...

    def bind(self, key: chex.PRNGKey, shape: Sequence[int]) -> Self:
        """Draws everything random, once per example of images of `shape` [B, H, W, C].

        The key is one for the batch, or one per example, [B]. One bound degradation
        serves a whole trajectory: Algorithm 2 subtracts D(x0_hat, t) and must meet the
        same mask everywhere. Deterministic degradations return self.
        """
        ...

    def __call__(self, x: chex.Array, t: chex.Numeric) -> chex.Array:
        """D(x, t) for images x [B, H, W, C] and a step t, int32 [] or [B]; like x."""
        ...


@runtime_checkable
class Linear(Degradation, Protocol):
    """A degradation that is linear in x, or affine, and whose inverse is known."""

    def pseudo_inverse(
        self, y: chex.Array, t: chex.Numeric, *, cutoff: float
    ) -> chex.Array:
        """The smallest change of an image that changes D(., t) by y, as far as any can.

        Args:
            y: a change of degraded images, float [B, H, W, C].
            t: the step, integer [] or [B].
            cutoff: singular values of D(., t) that are no larger count as zero.

        Returns:
            float32 [B, H, W, C].
        """
        ...


def example_keys(key: chex.PRNGKey, batch_size: int) -> chex.PRNGKey:
    """Returns one key per example, [B]: `key` itself if it is that, or its split."""
    dtype = getattr(key, "dtype", None)
    if dtype is None or not jnp.issubdtype(dtype, jax.dtypes.prng_key):
        raise TypeError(f"key must be a jax.random.key(seed), got {key!r}")
    if key.ndim == 0:
        return jax.random.split(key, batch_size)
    if key.shape != (batch_size,):
        raise ValueError(
            f"key must be a single key or one per example, shape ({batch_size},); got "
            f"shape {key.shape}"
        )
    return key


def divide(
    y: chex.Array, singular_values: chex.Array, cutoff: chex.Numeric
) -> chex.Array:
    """Returns y / singular_values, and 0 where they do not exceed the cutoff."""
    known = singular_values > cutoff
    return jnp.where(known, y / jnp.where(known, singular_values, 1.0), 0.0)


def per_example(values: chex.Array, x: chex.Array) -> chex.Array:
    """Appends axes to values [] or [B] until they broadcast against x [B, ...]."""
    return jnp.reshape(values, values.shape + (1,) * (x.ndim - 1) * values.ndim)


def check_call(
    x: chex.Array,
    t: chex.Numeric,
    num_steps: int,
    image_size: tuple[int, ...] | None = None,
) -> tuple[chex.Array, chex.Array]:
    """Returns x and t as arrays after the checks that every D(x, t) makes.

    Args:
        x: images, float [B, H, W, C].
        t: step, integer [] or [B], in 0..num_steps; the range is checked where t is
            concrete, since a traced t has no value yet.
        num_steps: T.
        image_size: (H, W) the degradation was made for, or None if it takes any.

    Raises:
        TypeError: x is not floating point, or t is not an integer.
        ValueError: x has another size, or t another shape or range than expected.
    """
    x, t = check_images(x), check_steps(t, num_steps, np.shape(x)[0])
    if image_size is not None and x.shape[1:3] != image_size:
        raise ValueError(
            f"this degradation was made for images of {image_size[0]} x "
            f"{image_size[1]} pixels, got x of shape {x.shape} (NHWC); make it with "
            f"image_size={x.shape[1:3]} or resize the images"
        )
    return x, t


def keep_clean(x: chex.Array, x_t: chex.Array, t: chex.Array) -> chex.Array:
    """x_t in the dtype of x, and x itself, bit for bit, wherever t = 0.

    Not even a product with one is x bit for bit: tiny numbers may be flushed to zero.
    """
    return jnp.where(per_example(t == 0, x), x, x_t.astype(x.dtype))


def check_images(x: chex.Array) -> chex.Array:
    """Returns x as an array if it is a float batch [B, H, W, C], else raises."""
    x = jnp.asarray(x)
    if not jnp.issubdtype(x.dtype, jnp.floating):
        raise TypeError(
            f"images must be floating point in [-1, 1], got dtype {x.dtype}; convert "
            "bytes with colddiff_jax.to_float"
        )
    if x.ndim != 4:
        raise ValueError(
            f"images must have shape [B, H, W, C], got {x.shape}; add the batch axis "
            "of a single image with x[None]"
        )
    return x


def check_steps(t: chex.Numeric, num_steps: int, batch_size: int) -> chex.Array:
    """Returns t as int32 if it is an integer [] or [B] within 0..num_steps."""
    if not isinstance(t, jax.core.Tracer):
        concrete = np.asarray(t)
        if not np.issubdtype(concrete.dtype, np.integer):
            raise TypeError(f"t must be an integer, got {t!r} of {concrete.dtype}")
        if concrete.size and not (0 <= concrete.min() <= concrete.max() <= num_steps):
            raise ValueError(f"t must lie in 0..{num_steps}, got {concrete}")
    t = jnp.asarray(t)
    if not jnp.issubdtype(t.dtype, jnp.integer):
        raise TypeError(f"t must be an integer, got dtype {t.dtype}")
    t = t.astype(jnp.int32)
    if t.shape not in ((), (batch_size,)):
        raise ValueError(
            f"t must be a scalar or have one value per example, shape ({batch_size},); "
            f"got shape {t.shape}"
        )
    return t


def check_image_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    """Returns (height, width) from a side or a pair of sides."""
    sides = np.asarray(image_size)
    if sides.ndim == 0:
        sides = np.stack([sides, sides])
    if (
        sides.shape != (2,)
        or not np.issubdtype(sides.dtype, np.integer)
        or not (sides > 0).all()
    ):
        raise ValueError(
            "image_size must be a positive integer or (height, width), got "
            f"{image_size!r}"
        )
    return int(sides[0]), int(sides[1])


def check_integer(name: str, value: object, largest: int | None = None) -> int:
    """Returns a positive integer, of Python or NumPy, that is at most the largest."""
    known = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if known and value >= 1 and (largest is None or value <= largest):  # type: ignore[operator]
        return int(value)  # type: ignore[call-overload]
    expected = (
        "a positive integer" if largest is None else f"an integer in 1..{largest}"
    )
    raise ValueError(f"{name} must be {expected}, got {value!r}")


def last_step(degrade: object) -> int:
    """T of a degradation; a plain function has none."""
    num_steps = getattr(degrade, "num_steps", None)
    if num_steps is None:
        raise TypeError(
            f"a plain function has no last step; make {degrade!r} a degradation with "
            "colddiff_jax.from_function(fn, num_steps)"
        )
    return num_steps


def check_choice(name: str, value: object, choices: Iterable[object]) -> None:
    """Raises a ValueError that lists the choices unless value is one of them."""
    choices = list(choices)
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{name} must be one of {choices}, got {value!r}")


def check_schedule(
    name: str,
    values: Sequence[float] | np.ndarray,
    expected: str,
    valid: Callable[[np.ndarray], np.ndarray],
    *,
    order: Literal["rising", "falling", "any"] = "any",
) -> np.ndarray:
    """Returns one number per step as float64 [T] after checking each of them.

    Args:
        name: what the error calls the schedule.
        values: the schedule.
        expected: what a valid value is, in words.
        valid: maps the values to booleans, whether each is valid.
        order: which way the values may go from one step to the next, if it matters;
            they may always stay the same.

    Raises:
        ValueError: a value is not finite, not valid or out of order.
    """
    try:
        schedule = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        schedule = np.empty(())
    if schedule.ndim != 1 or not schedule.size:
        raise ValueError(
            f"{name} must list one number per step, got {values!r}; "
            "colddiff_jax.schedules makes the usual ones"
        )
    wrong = ~(np.isfinite(schedule) & valid(schedule))
    if wrong.any():
        step = int(np.argmax(wrong))
        raise ValueError(
            f"{name} must be {expected} and finite, got {name}[{step}] = "
            f"{schedule[step]}"
        )
    check_order(name, schedule, order)
    return schedule


def check_order(
    name: str, values: np.ndarray, order: Literal["rising", "falling", "any"]
) -> None:
    """Raises a ValueError if values [T, ...] go the wrong way somewhere."""
    changes = np.diff(values, axis=0) * {"rising": 1, "falling": -1, "any": 0}[order]
    wrong = (changes < 0).any(axis=tuple(range(1, changes.ndim)))
    if wrong.any():
        step = int(np.argmax(wrong)) + 1
        never = {"rising": "shrink", "falling": "grow"}[order]
        raise ValueError(
            f"{name} must never {never} from one step to the next, got {name}[{step}] "
            f"= {values[step]} after {values[step - 1]}"
        )


def check_stds(stds: Sequence[float] | np.ndarray) -> np.ndarray:
    """Returns a schedule of standard deviations as float64 [T] if each is positive."""
    return check_schedule("stds", stds, "positive", lambda values: values > 0)


def check_bound(drawn: chex.Array | None, x: chex.Array, what: str) -> chex.Array:
    """Returns what `bind` drew, [B, ...] or [1, ...], if it fits images x [B, ...].

    Raises:
        ValueError: nothing was drawn yet, or for another batch size.
    """
    if drawn is None:
        raise ValueError(
            f"this degradation has {what} that is not drawn yet; call degrade = "
            "degrade.bind(key, x.shape) first"
        )
    if len(drawn) not in (1, len(x)):
        raise ValueError(
            f"this degradation was bound to {len(drawn)} examples, got {len(x)}; bind "
            "it again with the shape of these images"
        )
    return drawn
