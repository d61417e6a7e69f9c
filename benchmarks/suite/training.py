"""Training steps of the small and of the published networks.

A step is the loss, its gradient and Adam, on one batch. PyTorch runs in eager mode with
contiguous and with channels-last images, with all threads; for the small network also
with one, and in the full form also in bfloat16 and compiled.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from benchmarks import timing
from benchmarks.suite import Form, pairs, turns
from benchmarks.suite.optional import theirs
from benchmarks.suite.pairs import Pair


class Sizes(NamedTuple):
    rounds: int
    published_rounds: int  # 0 for none of the published networks.
    variants: bool  # bfloat16 and torch.compile.


SIZES = {
    "smoke": Sizes(1, 0, False),
    "short": Sizes(9, 2, False),
    "full": Sizes(25, 7, True),
}


def measure(form: Form) -> dict[str, Any]:
    """Measures all networks."""
    sizes = SIZES[form]
    rows = {"small network": _small(form, sizes)}
    if sizes.published_rounds:
        for name in pairs.PUBLISHED:
            calls, facts = _steps(pairs.published(name), sizes)
            row = timing.ratio(calls, sizes.published_rounds, over="ours")
            rows[name] = facts | row
            jax.clear_caches()  # Compiled programs take gigabytes.
    return rows


def _small(form: Form, sizes: Sizes) -> dict[str, Any]:
    pair = pairs.small_network(form)
    calls, facts = _steps(pair, sizes)
    if theirs:
        one = pair.theirs("channels-last")
        calls["PyTorch, channels-last, 1 thread"] = theirs.with_threads(1, one)
    return facts | turns.ratio(calls, sizes.rounds)


def _steps(
    pair: Pair, sizes: Sizes
) -> tuple[dict[str, Callable[[], Any]], dict[str, Any]]:
    """Returns the steps by name, and facts such as why some are absent."""
    ours = pair.ours()
    calls: dict[str, Callable[[], Any]] = {"ours": ours}
    facts: dict[str, Any] = {"batch": list(pair.x.shape), "parameters": ours.size}
    if not theirs:
        return calls, facts
    for layout in theirs.networks.LAYOUTS:
        calls[f"PyTorch, {layout}"] = pair.theirs(layout)
    if sizes.variants:
        calls["PyTorch, bfloat16"] = pair.theirs("channels-last", bfloat16=True)
        compiled = pair.theirs("channels-last", compiled=True)
        try:
            compiled()
        except Exception as error:  # Of its compiler, such as without C++.
            facts["torch.compile"] = f"absent: {type(error).__name__}"
        else:
            calls["PyTorch, torch.compile"] = compiled
    return calls, facts
