"""Scores each sampler with 1, 2, 5, 10, 20 and T network calls.

    python -m benchmarks.few_steps runs/mnist_blur-cpu runs/mnist_mask-cpu
    python -m benchmarks.few_steps --num_images=1000 runs/cifar_blur-cpu
    python -m benchmarks.few_steps     only redraws the picture and the tables

For each run folder it writes benchmarks/results/few_steps/NAME.json: RMSE and SSIM of
the first test images; their sharpness, which is the mean slope between neighbouring
pixels divided by that of the clean images (RMSE and SSIM favour the average of all
plausible images, which is blurred); and the distance of D(x_0, T) from the observed
image. From all results there it makes docs/images/few_steps.png and docs/few_steps.md
(needs matplotlib: the extra `benchmarks`).
"""

import collections
import functools
import json
import os
import pathlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from absl import flags

from benchmarks import timing
from colddiff_jax import metrics, sampling
from colddiff_jax.cli import program
from colddiff_jax.io import images
from colddiff_jax.prng import indexed_keys, stream
from colddiff_jax.restoration.image_set import images_of_run
from colddiff_jax.restoration.loading import load_run
from colddiff_jax.restoration.restorer import Restorer

_NUM_IMAGES = flags.DEFINE_integer("num_images", 256, "test images to restore", 1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 64, "images at once", 1)

CALLS = (1, 2, 5, 10, 20)
RESULTS = timing.RESULTS / "few_steps"
DOCS = pathlib.Path(__file__).parent.parent / "docs"
COLUMNS = 3  # Of the figure.
DRAWN = ("alg1", "alg2", "alg2, change", "heun, change", "ab2, change", "restart")
NOISE = 0.01  # Standard deviation at t = T, for the momentum sampler.

Spacing = Callable[[int], np.ndarray]


def variants(
    T: int, spacings: dict[str, Spacing], num_calls: int
) -> Iterator[tuple[str, Callable, dict]]:
    """Yields names, samplers and options for a budget of network calls."""
    stride = spacings["stride"]
    alg2 = sampling.sample_alg2
    yield "alg1", sampling.sample_alg1, {"timesteps": stride(num_calls)}
    yield "ab2", sampling.sample_ab2, {"timesteps": stride(num_calls)}
    for name, spacing in spacings.items():
        if name == "stride" or num_calls < T:  # All T steps leave no choice.
            suffix = "" if name == "stride" else f", {name}"
            yield f"alg2{suffix}", alg2, {"timesteps": spacing(num_calls)}
            if name != "log" and num_calls != 2:
                # N steps of Heun's method take 2 N - 1 calls; with a budget of T, it
                # takes all T steps nevertheless.
                num_steps = T if num_calls == T else (num_calls + 1) // 2
                yield (
                    f"heun{suffix}",
                    sampling.sample_heun,
                    {"timesteps": spacing(num_steps)},
                )
    if num_calls < T:
        timesteps = spacings["change"](num_calls)
        yield "ab2, change", sampling.sample_ab2, {"timesteps": timesteps}
    yield (
        "alg2, direct last step",
        alg2,
        {"timesteps": stride(num_calls), "last_step": "direct"},
    )
    yield (
        "momentum",
        functools.partial(
            sampling.sample_momentum, noise_stds=np.linspace(NOISE / T, NOISE, T)
        ),
        {"timesteps": stride(num_calls)},
    )
    if num_calls >= 5:
        # About a third of the calls repeat the middle of the trajectory.
        repeated = (num_calls - 1) // 3
        steps = stride(num_calls - repeated - 1)
        first = (len(steps) - 1 - repeated) // 2
        restart = sampling.Restart(
            low=int(steps[first + repeated]), high=int(steps[first])
        )
        yield "restart", alg2, {"timesteps": steps, "restart": restart}


def network_calls(sampler: Callable, options: dict) -> int:
    """Returns the number of network calls of a sampler with these options."""
    steps = options["timesteps"].tolist()
    calls = len(steps) - 1
    if sampler is sampling.sample_heun:
        calls = 2 * calls - 1
    if "restart" in options:
        restart = options["restart"]
        calls += steps.index(restart.low) - steps.index(restart.high) + 1
    return calls


def score(
    restorer: Restorer, pixels: np.ndarray, sampler: Callable, options: dict
) -> dict:
    """Returns the mean scores of one sampler over all images."""
    model = restorer.model
    noisy = isinstance(sampler, functools.partial)

    def sample(shared: tuple, batch: tuple) -> dict[str, jax.Array]:
        params, degrade, key = shared
        pixels, indices = batch
        x = images.to_float(pixels)
        bind_keys, noise_keys, start_keys = (
            indexed_keys(jax.random.fold_in(key, i), indices) for i in range(3)
        )
        degrade = degrade.bind(bind_keys, x.shape)
        x_T = observed = degrade(x, degrade.num_steps)
        key = None
        if noisy:
            draw = jax.vmap(lambda key: jax.random.normal(key, x.shape[1:]))
            x_T = observed + NOISE * draw(start_keys)
            key = noise_keys
        x_0 = sampler(model.restore_fn(params), degrade, x_T, key=key, **options).x_0
        return {
            "mse": metrics.mean_squared_error(x_0, x),
            "ssim": metrics.ssim(x_0, x),
            "slope": slope(x_0),
            "clean_slope": slope(x),
            "inconsistency": sampling.data_consistency(x_0, degrade, observed),
        }

    key = stream(model.config["seed"], "few steps")
    shared = (restorer.params, model.degrade, key)
    batches = sampling.BatchSampler(sample, batch_size=_BATCH_SIZE.value)
    found = batches(shared, (pixels, np.arange(len(pixels))))
    return {
        "rmse": round(float(found["mse"].mean()) ** 0.5, 4),
        "ssim": round(float(found["ssim"].mean()), 4),
        "sharpness": round(float(found["slope"].sum() / found["clean_slope"].sum()), 3),
        "inconsistency": round(float(found["inconsistency"].mean()), 5),
    }


def slope(x: jax.Array) -> jax.Array:
    """Returns the mean slopes along both axes, summed, float32 [B]."""
    rows, columns = jnp.diff(x, axis=1), jnp.diff(x, axis=2)
    return jnp.abs(rows).mean((1, 2, 3)) + jnp.abs(columns).mean((1, 2, 3))


def study(workdir: str) -> None:
    """Scores every variant on one run and writes its result file."""
    restorer = load_run(workdir)
    degrade, config = restorer.model.degrade, restorer.model.config
    T = degrade.num_steps
    pixels = images_of_run(restorer).load(range(_NUM_IMAGES.value)).images
    x = images.to_float(pixels[:64])
    bound = degrade.bind(stream(config["seed"], "spacing"), x.shape)
    severity = sampling.measured_severity(bound, x)
    spacings: dict[str, Spacing] = {
        "stride": lambda n: sampling.equal_stride(T, num_calls=n),
        "change": lambda n: sampling.equal_change(bound, x, num_calls=n),
        "log": lambda n: sampling.equal_log_severity(severity, num_calls=n),
    }
    found: dict[str, list] = collections.defaultdict(list)
    for num_calls in (*(n for n in CALLS if n < T), T):
        for name, sampler, options in variants(T, spacings, num_calls):
            row = {
                "calls": network_calls(sampler, options),
                **score(restorer, pixels, sampler, options),
            }
            found[name].append({"column": num_calls, **row})
            print(f"{num_calls:3d} {name:24s} {row}", flush=True)
    timing.write(
        f"few_steps/{os.path.basename(workdir)}",
        {
            "step": restorer.step,
            "training.batch_size": config["training"]["batch_size"],
            "num_images": len(pixels),
            "T": T,
            "samplers": found,
        },
    )


def draw(results: dict[str, dict]) -> None:
    """Plots RMSE and SSIM over network calls, a pair of panels per result file."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    blocks = -(-len(results) // COLUMNS)
    figure, axes = plt.subplots(
        2 * blocks, COLUMNS, figsize=(4 * COLUMNS, 5.5 * blocks), squeeze=False
    )
    for index, (run, result) in enumerate(results.items()):
        block, column = divmod(index, COLUMNS)
        for row, score_name in enumerate(("rmse", "ssim")):
            axis = axes[2 * block + row, column]
            shown = draw_scores(axis, result["samplers"], score_name)
            low, high = min(shown), max(shown)
            # Algorithm 1 may leave the frame: to fit it would flatten the other lines.
            axis.set_ylim(low - 0.5 * (high - low), high + 0.5 * (high - low))
            axis.set_ylabel(score_name.upper())
        axes[2 * block, column].set_title(f"{run}, T = {result['T']}")
        axes[2 * block + 1, column].set_xlabel("network calls")
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(DOCS / "images" / "few_steps.png", dpi=80)


def draw_scores(axis: Any, samplers: dict[str, list], score_name: str) -> list[float]:
    """Plots a line per sampler; returns the values of all but Algorithm 1."""
    values = []
    for name in [name for name in DRAWN if name in samplers]:
        entries = samplers[name]
        if "change" in name:  # With all T steps there is only one spacing.
            entries = entries + samplers[name.split(",")[0]][-1:]
        calls = [entry["calls"] for entry in entries]
        scores = [entry[score_name] for entry in entries]
        axis.plot(calls, scores, marker="o", markersize=3, label=name)
        values += scores if name != "alg1" else []
    axis.set_xscale("log")
    axis.grid(alpha=0.3)
    return values


def cell(entry: dict) -> str:
    return f"{entry['rmse']:.3f} / {entry['ssim']:.3f} / {entry['sharpness']:.2f}"


def tables(results: dict[str, dict]) -> str:
    """Returns the page with a Markdown table per result file."""
    parts = [
        "# Few steps: the numbers",
        "Written by `python -m benchmarks.few_steps`; [sampling.md](sampling.md) says "
        "what they mean.\nA cell is RMSE / SSIM / sharpness. Heun's method makes one "
        "call fewer where the number is even, and\n2 T - 1 calls for all steps.",
    ]
    for run, result in results.items():
        columns = [entry["column"] for entry in result["samplers"]["alg2"]]
        lines = [
            f"| | {' | '.join(map(str, columns))} |",
            f"| --- |{' --- |' * len(columns)}",
        ]
        for name, entries in result["samplers"].items():
            cells = {e["column"]: cell(e) for e in entries}
            row = " | ".join(cells.get(column, "") for column in columns)
            lines.append(f"| {name} | {row} |")
        parts += [
            f"## {run}",
            f"T = {result['T']}, {result['num_images']} test images, a network trained "
            f"for {result['step']} steps of {result['training.batch_size']} images\n"
            f"([results](../benchmarks/results/few_steps/{run}.json), "
            f"{result['machine']}).",
            "\n".join(lines),
        ]
    parts += [
        "## Distances between sets",
        "Frechet distances by the steps of Algorithm 2, of the models and all 10,000 "
        "test images of [results.md](results.md).",
        distances(),
    ]
    return "\n\n".join(parts) + "\n"


def distances() -> str:
    """Returns the Frechet distances of the models of docs/results.md, in Markdown."""
    heads = {"direct": "direct", **{f"alg2:{n}": f"{n}" for n in (2, 3, 5, 10)}}
    heads["alg2"] = "all T"
    lines = [f"| | {' | '.join(heads.values())} |", f"| --- |{' --- |' * len(heads)}"]
    for path in sorted((timing.RESULTS / "restoration").glob("*.json")):
        result = json.loads(path.read_text())
        (found,) = result["distances"].values()
        cells = [f"{found[name]['frechet']:.4g}" for name in heads]
        lines.append(f"| {path.stem} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(*workdirs: str) -> None:
    for workdir in workdirs:
        study(workdir)
    results = {
        path.stem: json.loads(path.read_text())
        for path in sorted(RESULTS.glob("*.json"))
    }
    draw(results)
    (DOCS / "few_steps.md").write_text(tables(results))


if __name__ == "__main__":
    program.run(main, num_arguments=None)
