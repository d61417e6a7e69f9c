"""Calls with a given number of PyTorch's threads."""

from collections.abc import Callable
from typing import Any

import torch


def with_threads(threads: int, call: Callable[[], Any]) -> Callable[[], Any]:
    """Returns the call, made with that many threads."""

    def limited() -> Any:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            return call()
        finally:
            torch.set_num_threads(before)

    return limited
