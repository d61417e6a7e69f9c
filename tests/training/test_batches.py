"""What the training step is fed with."""

import multiprocessing
import os
import signal
import threading
import time

import numpy as np

from colddiff_jax.data import arrays
from colddiff_jax.training.batches import open_feed, resident_limit
from colddiff_jax.training.task import build_experiment
from configs import mnist_mask


def test_images_may_take_a_quarter_of_a_device_that_tells_its_memory():
    assert resident_limit(None, {"bytes_limit": 80_000}) == 20_000
    assert resident_limit(None, None) == resident_limit(None, {}) == 2e9


def test_a_limit_that_is_set_is_taken_as_it_is():
    assert resident_limit(0, {"bytes_limit": 80_000}) == 0
    assert resident_limit(3, None) == 3e6


def test_loaders_start_at_once_and_ignore_ctrl_c_from_their_first_moment():
    config = mnist_mask.get_config("smoke")
    config.training.update({"resident_mb": 0, "num_workers": 2, "batch_size": 4})
    config.evaluation.num_images = 1
    images = np.zeros((8, 32, 32, 1), np.uint8)
    experiment = build_experiment(config, splits=arrays(images, images))
    hits = []

    def ctrl_c():
        while len(hits) < 600:
            for loader in multiprocessing.active_children():
                os.kill(loader.pid, signal.SIGINT)
                hits.append(loader.pid)
            time.sleep(0.01)

    thread = threading.Thread(target=ctrl_c, daemon=True)
    thread.start()
    with open_feed(experiment, 0) as feed:
        thread.join(60)  # Nothing has been asked for.
        assert len(set(hits)) == 2
        assert next(feed.batches).images.shape == (4, 1, 1, 32, 32, 1)
