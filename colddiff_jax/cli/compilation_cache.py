"""Keeps compiled programs between runs, so that the second start is fast."""

import hashlib
import os
import pathlib
import platform

import jax

from colddiff_jax.feature_nets.weights import cache_folder

_MAX_BYTES = 2 * 2**30  # Beyond it, the programs not used for longest are deleted.
_MIN_SECONDS = 0.1  # Programs that compile faster are not worth a file.


def keep_compiled_programs() -> None:
    """Turns on JAX's persistent compilation cache, in the user's cache folder.

    JAX_COMPILATION_CACHE_DIR names another folder, which is then configured by JAX's
    own variables alone, and JAX_ENABLE_COMPILATION_CACHE=0 stops it. Without a folder
    that can be written, programs are compiled as usual.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = os.path.join(cache_folder(), "compiled", _processor())
    try:
        os.makedirs(folder, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", folder)
    jax.config.update("jax_compilation_cache_max_size", _MAX_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _MIN_SECONDS)


def _processor() -> str:
    """Returns a name for processors with the same instructions.

    Programs for CPUs are machine code, and several machines may share a home folder.
    """
    features = platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text().splitlines()
        features += "".join(
            sorted({line for line in lines if line.startswith(("flags", "Features"))})
        )
    return f"{platform.machine()}-{hashlib.sha256(features.encode()).hexdigest()[:12]}"
