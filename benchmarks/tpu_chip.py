"""One TPU v5e chip: its limits, its memory tiles, and what a program asks of it."""

import collections
import math
import re
from collections.abc import Iterator
from typing import Any

import jax
from jax.experimental import topologies
from jax.sharding import SingleDeviceSharding

# https://cloud.google.com/tpu/docs/v5e
PEAK_FLOPS, BYTES_PER_SECOND, MEMORY = 197e12, 819e9, 16e9
RIDGE = PEAK_FLOPS / BYTES_PER_SECOND
# Four units of 128 x 128 multiply-adds reach the peak at this frequency.
CYCLES_PER_SECOND = PEAK_FLOPS / (4 * 128 * 128 * 2)
LANES = 128

_BYTES = {"pred": 1, "bf16": 2, "f16": 2} | {
    f"{kind}{bits}": bits // 8 for kind in "fsu" for bits in (8, 16, 32, 64)
}
_BUFFER = re.compile(r"\b([a-z]+\d*)\[([\d,]+)\]\{([\d,]+):T\(([\d,]+)\)[^}]*\}")
_COMPUTATION = re.compile(r"^(?:ENTRY )?%([\w.\-]+) .*\{$")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%[\w.\-]+ = (.*?) ([a-z][\w\-]*)\(")
_FREE = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant", "while"}
_CONVOLUTION = re.compile(
    r"stablehlo\.convolution.*\[b, 0, 1, f\]x.*->\[b, 0, 1, f\].* : "
    r"\(tensor<([\dx]+)x\w+>, .*-> tensor<([\dx]+)x\w+>"
)


def on_chip(tree: Any) -> Any:
    """Returns the shapes and dtypes of arrays as if they lay on the chip."""
    topology = topologies.get_topology_desc(platform="tpu", topology_name="v5e:2x2")
    sharding = SingleDeviceSharding(topology.devices[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), tree
    )


def demands(compiled: jax.stages.Compiled, rounds: int) -> dict[str, Any]:
    """Returns what a compiled program asks of the chip.

    The compiler counts the body of a loop once: for a program that is one loop, this
    multiplies by its number of rounds. The bytes include those of arrays that stay in
    the chip's vector memory, so that the time for memory is an upper bound.
    """
    cost: Any = compiled.cost_analysis()
    memory: Any = compiled.memory_analysis()
    text = compiled.as_text()
    flops, moved = rounds * cost["flops"], rounds * cost["bytes accessed"]
    reserved = {
        "arguments": memory.argument_size_in_bytes,
        "outputs": memory.output_size_in_bytes - memory.alias_size_in_bytes,
        "temporary": memory.temp_size_in_bytes,
        "program": memory.generated_code_size_in_bytes,
    }
    seconds = {
        "arithmetic": flops / PEAK_FLOPS,
        "memory": moved / BYTES_PER_SECOND,
        "compiler's estimate": rounds * _estimated_cycles(text) / CYCLES_PER_SECOND,
    }
    return {
        "GFLOP": round(flops / 1e9, 1),
        "GB accessed": round(moved / 1e9, 2),
        "FLOP per byte": round(flops / moved, 1),
        "milliseconds": {k: round(1e3 * v, 2) for k, v in seconds.items()},
        "MB reserved": {k: round(v / 1e6, 1) for k, v in reserved.items()},
        "share of the chip's memory": round(sum(reserved.values()) / MEMORY, 3),
        "share of buffers that is padding": round(_padding(text), 4),
        "batch in lanes, share of convolutions": _emitters(text),
    }


def levels(stablehlo: str) -> dict[str, dict[str, Any]]:
    """Returns the lanes that channels would leave empty, by level of the network."""
    logical: collections.Counter[int] = collections.Counter()
    padded: collections.Counter[int] = collections.Counter()
    channels = collections.defaultdict(set)
    for shapes in _CONVOLUTION.findall(stablehlo):
        for shape in shapes:
            *image, features = map(int, shape.split("x"))
            side = image[1]
            channels[side].add(features)
            logical[side] += math.prod(image) * features
            padded[side] += math.prod(image) * -(-features // LANES) * LANES
    return {
        f"{side} x {side}": {
            "channels": sorted(channels[side]),
            "lanes lost": round(1 - logical[side] / padded[side], 3),
        }
        for side in sorted(logical, reverse=True)
    }


def _instructions(text: str) -> Iterator[tuple[str, str, str]]:
    """Yields result, operation and line of all instructions outside of fusions."""
    fused = set(re.findall(r" fusion\(.*calls=%([\w.\-]+)", text))
    inside = False
    for line in text.splitlines():
        if found := _COMPUTATION.match(line):
            inside = found[1] in fused
        elif not inside and (found := _INSTRUCTION.match(line)):
            yield found[1], found[2], line


def _estimated_cycles(text: str) -> int:
    return sum(
        int(found[1])
        for _, _, line in _instructions(text)
        if (found := re.search(r'"estimated_cycles":"(\d+)"', line))
    )


def _padding(text: str) -> float:
    """Returns the share of the bytes of all results that fill up tiles."""
    logical = padded = 0
    for result, operation, _ in _instructions(text):
        if operation in _FREE:
            continue
        for dtype, dims, order, tile in _BUFFER.findall(result):
            shape = [int(dim) for dim in dims.split(",")]
            logical += _BYTES[dtype] * math.prod(shape)
            for axis, size in zip(
                order.split(","), reversed(tile.split(",")), strict=False
            ):
                shape[int(axis)] = -(-shape[int(axis)] // int(size)) * int(size)
            padded += _BYTES[dtype] * math.prod(shape)
    return 1 - logical / padded


def _emitters(text: str) -> float:
    """Returns the share of convolution cycles that run with the batch in lanes."""
    cycles: collections.Counter[bool] = collections.Counter()
    for _, _, line in _instructions(text):
        if emitter := re.search(r'"emitter":"(\w+)"', line):
            estimated = re.search(r'"estimated_cycles":"(\d+)"', line)
            lanes = emitter[1].endswith("BatchInLanes")
            cycles[lanes] += int(estimated[1]) if estimated else 0
    return round(cycles[True] / max(cycles.total(), 1), 3)
