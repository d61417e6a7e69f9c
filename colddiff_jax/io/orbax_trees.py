"""Saves and restores trees of arrays with Orbax, each process on its own."""

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Any

import orbax.checkpoint as ocp

from colddiff_jax import devices


class OrbaxTrees:
    """Writes and reads folders that each hold one tree of arrays."""

    def __init__(self) -> None:
        # By default, Orbax would wait for all processes at every call.
        process = devices.process_index()
        alone = ocp.options.MultiprocessingOptions(
            primary_host=process,
            active_processes={process},
            barrier_sync_key_prefix=f"process{process}",
        )
        self._checkpointer = ocp.Checkpointer(
            ocp.StandardCheckpointHandler(multiprocessing_options=alone),
            multiprocessing_options=alone,
        )
        self._reader_of_parts = ocp.Checkpointer(
            ocp.PyTreeCheckpointHandler(multiprocessing_options=alone),
            multiprocessing_options=alone,
        )

    def save(self, path: str, tree: Any) -> None:
        """Writes a tree of arrays into a new folder."""
        with _silenced():
            self._checkpointer.save(path, args=ocp.args.StandardSave(tree))

    def restore(self, path: str, like: Any) -> Any:
        """Reads a tree with the structure, dtypes, shapes and shardings of `like`."""
        return self._checkpointer.restore(path, args=ocp.args.StandardRestore(like))

    def restore_parts(self, path: str, like: dict[str, Any]) -> dict[str, Any]:
        """Reads some of the top-level parts of a tree, and nothing of the others."""
        each = ocp.checkpoint_utils.construct_restore_args(like)
        args = ocp.args.PyTreeRestore(like, restore_args=each, partial_restore=True)
        return self._reader_of_parts.restore(path, args=args)


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """Keeps Orbax from logging the tracebacks of errors that it also raises."""
    logger = logging.getLogger("absl")

    def not_from_orbax(record: logging.LogRecord) -> bool:
        return f"{os.sep}orbax{os.sep}" not in record.pathname

    logger.addFilter(not_from_orbax)
    try:
        yield
    finally:
        logger.removeFilter(not_from_orbax)
