"""The part of on_gpu.py that measures training, side by side with PyTorch.

A training step draws uint8 images, t and dropout on the device, blurs the images, and
ends with Adam and the moving average of the parameters; random cuts and flips are left
out. The plain modules of torch_networks.py are trained in the same way, in eager mode
and compiled.

The FLOPs of a step are three times those of the network's forward pass, as XLA counts
them before any optimization: this does not depend on how a device computes gradients.
"""

import dataclasses
import functools
import gc
from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import colddiff_jax as cd
from benchmarks.gpu_layers import DTYPES, ON_GPU, Results, Run, measure, pytorch
from benchmarks.suite.network_step import random_params

LEARNING_RATE, EMA_DECAY = 2e-5, 0.9999
STEPS = 8  # Training steps between two waits for the device.
Job = Callable[[int], Any]  # Takes a number of training steps.


@dataclasses.dataclass(frozen=True)
class Experiment:
    """A network, by its name here and in torch_networks.py, and its batches."""

    network: str
    batch: int
    side: int
    ours: dict[str, Any] = dataclasses.field(default_factory=dict)
    theirs: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.batch, self.side, self.side, 3)

    def module(self, dtype: str) -> nn.Module:
        return getattr(cd, self.network)(**self.ours, dtype=DTYPES[dtype])

    def blur(self) -> cd.degradations.Separable:
        stds = cd.schedules.linear(50, start=0.35, increment=0.01)
        return cd.gaussian_blur(self.side, stds, kernel_size=11, padding="reflect")


LARGE = {
    "cifar": Experiment("UNet", batch=128, side=32),
    "celeba": Experiment("ConvNeXtUNet", batch=32, side=128),
}
SMALL = {
    "cifar": Experiment(
        "UNet",
        batch=2,
        side=16,
        ours={"base_channels": 32, "channel_multipliers": (1,), "num_blocks": 1},
        theirs={"base": 32, "multipliers": (1,), "num_blocks": 1, "side": 16},
    ),
    "celeba": Experiment(
        "ConvNeXtUNet",
        batch=2,
        side=16,
        ours={"base_channels": 8, "channel_multipliers": (1,)},
        theirs={"base": 8, "multipliers": (1,)},
    ),
}


def experiments(run: Run) -> dict[str, Experiment]:
    return SMALL if run.small else LARGE


class State(NamedTuple):
    step: jax.Array
    params: Any
    ema_params: Any
    opt_state: Any


class Ours:
    """A network of this package in training."""

    def __init__(self, experiment: Experiment, dtype: str):
        model = experiment.module(dtype)
        degrade = experiment.blur()
        optimizer = optax.adam(LEARNING_RATE)
        params = random_params(model, experiment.shape)
        self.state = State(
            step=jnp.zeros((), jnp.int32),
            params=params,
            ema_params=jax.tree.map(jnp.copy, params),
            opt_state=optimizer.init(params),
        )
        self.num_params = sum(leaf.size for leaf in jax.tree.leaves(params))

        def step(state: State, _: None = None) -> tuple[State, jax.Array]:
            key = jax.random.fold_in(jax.random.key(0), state.step)
            image_key, t_key, dropout_key = jax.random.split(key, 3)
            x_0 = cd.to_float(jax.random.bits(image_key, experiment.shape, jnp.uint8))
            t = jax.random.randint(t_key, x_0.shape[:1], 1, degrade.num_steps + 1)
            dropout_keys = jax.random.split(dropout_key, len(x_0))

            def mean_loss(params: Any) -> jax.Array:
                restore_fn = functools.partial(
                    model.apply, {"params": params}, dropout_keys=dropout_keys
                )
                return cd.restoration_loss(restore_fn, degrade, x_0, t).mean()

            loss, gradient = jax.value_and_grad(mean_loss)(state.params)
            updates, opt_state = optimizer.update(gradient, state.opt_state)
            params = optax.apply_updates(state.params, updates)
            ema_params = jax.tree.map(
                lambda ema, new: EMA_DECAY * ema + (1 - EMA_DECAY) * new,
                state.ema_params,
                params,
            )
            return State(state.step + 1, params, ema_params, opt_state), loss

        def steps(state: State) -> tuple[State, jax.Array]:
            return jax.lax.scan(step, state, length=STEPS)

        self._steps = {1: step, STEPS: steps}
        self._compiled: dict[int, Any] = {}

    def compiled(self, steps_per_call: int = 1) -> Any:
        """Returns the program that takes 1 or STEPS steps."""
        if steps_per_call not in self._compiled:
            function = jax.jit(self._steps[steps_per_call], donate_argnums=0)
            self._compiled[steps_per_call] = function.lower(self.state).compile()
        return self._compiled[steps_per_call]

    def run(self, steps_per_call: int, steps: int) -> jax.Array:
        """Takes some steps, and returns the last loss without waiting for it."""
        for _ in range(steps // steps_per_call):
            self.state, loss = self.compiled(steps_per_call)(self.state)
        return loss


def forward_flops(model: nn.Module, params: Any, shape: tuple[int, ...]) -> float:
    """Returns the FLOPs of the forward pass of a batch, lowered for a CPU.

    JAX cannot count those of a program not compiled for a GPU. Of ConvNeXtUNet's
    it misses 0.6 %, in the loops that compute depthwise convolutions on a CPU.
    """
    shapes = jax.eval_shape(
        lambda: (params, jnp.zeros(shape), jnp.ones(shape[0], jnp.int32))
    )
    with jax.default_device(jax.devices("cpu")[0]):
        lowered = jax.jit(lambda params, *x_t: model.apply({"params": params}, *x_t))
        cost: Any = lowered.lower(*shapes).cost_analysis()
    return cost["flops"]


class Theirs:
    """The same network in training with PyTorch."""

    def __init__(
        self,
        torch: Any,
        experiment: Experiment,
        dtype: str,
        *,
        channels_last: bool,
        compiled: bool,
    ):
        from benchmarks import torch_networks

        self._torch = torch
        self._device = "cuda" if ON_GPU else "cpu"
        self._layout = torch.channels_last if channels_last else torch.contiguous_format
        self._autocast = dtype == "bfloat16"
        module = getattr(torch_networks, experiment.network)(3, **experiment.theirs)
        module = module.to(self._device, memory_format=self._layout)
        self._parameters = list(module.parameters())
        self._ema = [parameter.detach().clone() for parameter in self._parameters]
        adam = torch.optim.Adam
        self._optimizer = adam(self._parameters, lr=LEARNING_RATE, fused=True)
        batch, height, width, channels = experiment.shape
        self._shape = (batch, channels, height, width)
        operators = np.array(experiment.blur().operators[0])
        self._operators = torch.from_numpy(operators).to(self._device)
        self._module = torch.compile(module) if compiled else module

    def run(self, steps: int) -> None:
        """Takes some steps, and waits for them."""
        for _ in range(steps):
            self._step()
        if ON_GPU:
            self._torch.cuda.synchronize()

    def _step(self) -> None:
        torch, device = self._torch, self._device
        images = torch.randint(
            0, 256, self._shape, dtype=torch.uint8, device=device
        ).to(memory_format=self._layout)
        x_0 = images.float() / 127.5 - 1
        t = torch.randint(1, len(self._operators) + 1, self._shape[:1], device=device)
        blur = self._operators[t - 1][:, None]
        x_t = (blur @ x_0 @ blur.mT).to(memory_format=self._layout)
        self._optimizer.zero_grad()
        with torch.autocast(device, torch.bfloat16, enabled=self._autocast):
            x0_hat = self._module(x_t, t)
        (x0_hat.float() - x_0).abs().mean().backward()
        self._optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(self._ema, self._parameters, 1 - EMA_DECAY)


def training(name: str, run: Run) -> Results:
    """Compares training steps with PyTorch's, several at a time and one by one."""
    experiment, torch = experiments(run)[name], pytorch()
    yield "network", experiment.network
    yield "batch", experiment.shape
    for dtype in DTYPES:
        ours = Ours(experiment, dtype)
        flops = 3 * forward_flops(
            experiment.module(dtype), ours.state.params, experiment.shape
        )
        jobs: dict[str, Job] = {
            f"ours, {count} per call": functools.partial(ours.run, count)
            for count in (1, STEPS)
        }
        row: dict[str, Any] = {
            "parameters": ours.num_params,
            "GFLOP of a step": round(flops / 1e9, 3),
        }
        # Without PyTorch first: its compiler may take too long.
        row |= compare_loops(jobs, run, experiment, dtype, flops)
        program = ours.compiled()
        reserved = program.memory_analysis().temp_size_in_bytes
        row["GFLOP of its program"] = round(program.cost_analysis()["flops"] / 1e9, 3)
        row["megabytes that it reserves"] = round(reserved / 2**20)
        yield dtype, row
        if torch:
            jobs |= pytorch_jobs(torch, experiment, dtype)
            row |= compare_loops(jobs, run, experiment, dtype, flops)
            yield dtype, row
        del jobs[f"ours, {STEPS} per call"]
        row["one step and wait"] = measure(
            {job: functools.partial(take, 1) for job, take in jobs.items()},
            run.rounds,
            over="ours, 1 per call",
            repeats=1,
        )
        yield dtype, row
        del jobs, ours, program
        gc.collect()
        if torch and ON_GPU:
            torch.cuda.empty_cache()


def compare_loops(
    jobs: dict[str, Job], run: Run, experiment: Experiment, dtype: str, flops: float
) -> dict[str, Any]:
    """Compares jobs that take steps, and returns what they achieve."""
    found = measure(
        {job: functools.partial(take, STEPS) for job, take in jobs.items()},
        run.rounds,
        over="ours, 1 per call",
        repeats=STEPS,
    )
    rates = {
        job: {
            "images/s": round(experiment.batch / milliseconds * 1e3, 1),
            **run.rate(dtype, flops, milliseconds / 1e3),
        }
        for job, milliseconds in found.get("milliseconds", {}).items()
    }
    return {f"{STEPS} steps without waiting": found, "rates": rates}


def pytorch_jobs(torch: Any, experiment: Experiment, dtype: str) -> dict[str, Job]:
    """Returns the ways to train with PyTorch, by name."""
    ways = {
        "PyTorch": {"channels_last": False, "compiled": False},
        "PyTorch, channels last": {"channels_last": True, "compiled": False},
        "PyTorch, channels last, compiled": {"channels_last": True, "compiled": True},
    }
    return {
        way: Theirs(torch, experiment, dtype, **options).run
        for way, options in ways.items()
    }
