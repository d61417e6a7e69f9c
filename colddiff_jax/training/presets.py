"""Variants of configurations: a smoke test, two CPU cores, the published settings."""

import ml_collections

from colddiff_jax.training.config import section

_NUM_TEST_PHOTOGRAPHS = 4  # A small folder has few.
_PHOTO_NETWORK = {
    "base_channels": 48,
    "channel_multipliers": (1, 2),
    "num_blocks": 1,
    "attention_resolutions": (),
    "local": True,
    "dropout": 0.0,
    "patch_size": 2,
}


def use_smoke(config: ml_collections.ConfigDict) -> None:
    """Shrinks a run to seconds on a CPU, on scikit-learn's digits."""
    size = config.data.image_size
    config.data.update({"source": "digits", "resize_to": size, "pad": 0, "flip": False})
    config.model = section(
        "model",
        name="unet",
        base_channels=16,
        channel_multipliers=(1,),  # Most of the time is compiling.
        num_blocks=1,
        attention_resolutions=(),
        num_groups=4,
        patch_size=4,
        dtype="float32",
        consistent_noise=config.model.consistent_noise,
        see_endpoint=config.model.see_endpoint,
    )
    config.optimizer.update(
        {"learning_rate": 1e-3, "warmup_steps": 2, "decay_steps": 0}
    )
    config.training.update(
        {
            "batch_size": 8,
            "num_steps": 6,
            "log_every": 2,
            "evaluate_every": 3,
            "checkpoint_every": 3,
        }
    )
    config.evaluation.update({"num_images": 8, "batch_size": 8})


def use_two_cores(config: ml_collections.ConfigDict) -> None:
    """Sets a network of 2.6 million parameters and a short run, for two CPU cores.

    In the same time, two steps of 32 images reach a lower loss than one of 64. The
    network folds patches of 4 x 4 pixels into channels, which is fast on a CPU.
    With as many groups as channels, it could not see the step t.
    """
    config.model.update(
        {
            "base_channels": 64,
            "channel_multipliers": (1, 2),
            "num_blocks": 1,
            "attention_resolutions": (),
            "num_groups": 8,
            "dropout": 0.0,
            "patch_size": 4,
        }
    )
    config.optimizer.update(
        {"learning_rate": 2e-3, "warmup_steps": 200, "decay_steps": 12_000}
    )
    config.ema.decay = 0.999
    config.training.update(
        {
            "batch_size": 32,
            "num_steps": 12_000,
            "log_every": 50,
            "evaluate_every": 2000,
            "checkpoint_every": 2000,
        }
    )
    config.evaluation.update({"num_images": 128, "batch_size": 64})


def use_one_gpu(config: ml_collections.ConfigDict) -> None:
    """Sets a network of 4.4 million parameters and 6,000 steps, minutes on a GPU."""
    config.model.update(
        {
            "base_channels": 64,
            "channel_multipliers": (1, 2, 2),
            "num_blocks": 1,
            "attention_resolutions": (16,),
            "num_groups": 16,
            "dropout": 0.0,
        }
    )
    config.optimizer.update(
        {"learning_rate": 1e-3, "warmup_steps": 500, "decay_steps": 6000}
    )
    config.ema.decay = 0.999
    config.training.update(
        {
            "batch_size": 128,
            "steps_per_call": 10,
            "num_steps": 6000,
            "evaluate_every": 6000,
            "checkpoint_every": 2000,
        }
    )


def use_one_gpu_at_64(config: ml_collections.ConfigDict) -> None:
    """Sets the same for images of 64 x 64 pixels, a quarter as many per step."""
    use_one_gpu(config)
    config.training.batch_size = 32


def use_photographs(config: ml_collections.ConfigDict) -> None:
    """Sets random 64 x 64 windows of a folder of photographs, and a local network.

    The network has 1.4 million parameters. Since it is local, it restores photographs
    of any size, in tiles if they are large.
    """
    config.data.update(
        {
            "source": "folder",
            "channels": 3,
            "image_size": 64,
            "crop": True,
            "flip": True,
        }
    )
    config.model.update({"precondition": True, **_PHOTO_NETWORK})
    config.evaluation.num_images = _NUM_TEST_PHOTOGRAPHS


def use_two_cores_for_photographs(config: ml_collections.ConfigDict) -> None:
    """Sets 4,000 steps, half an hour of two CPU cores or less."""
    use_two_cores(config)
    config.model.update(_PHOTO_NETWORK)
    # A window has as many pixels as four digits.
    config.training.update({"batch_size": 8, "num_steps": 4000})
    config.optimizer.update({"learning_rate": 1e-3, "decay_steps": 4000})
    config.evaluation.num_images = _NUM_TEST_PHOTOGRAPHS


def use_generation(config: ml_collections.ConfigDict) -> None:
    """Sets 128 x 128 images of a folder, a long average, and the squared error.

    Where x_T says nothing of x_0, the best prediction by the absolute error is the
    median, which for MNIST is black. Deterministic samplers need the mean.
    """
    config.data.update(
        {"source": "folder", "image_size": 128, "resize_to": 143, "flip": True}
    )
    config.loss = section("loss", name="l2")
    config.ema.decay = 0.9995
    config.model.update(
        {"base_channels": 64, "channel_multipliers": (1, 2, 4, 4), "dropout": 0.0}
    )
    config.training.batch_size = 64


def use_two_cores_for_generation(config: ml_collections.ConfigDict) -> None:
    """Sets a network of 2.6 million parameters and 8,000 steps, for two CPU cores.

    Evaluations are few and small, since they call the network T times per image.
    """
    use_two_cores(config)
    config.model.precondition = True
    config.optimizer.update({"learning_rate": 1e-3, "decay_steps": 8000})
    config.training.update(
        {"num_steps": 8000, "evaluate_every": 4000, "checkpoint_every": 2000}
    )
    config.evaluation.update({"num_images": 32, "batch_size": 32})


def use_digits_for_generation(config: ml_collections.ConfigDict) -> None:
    """Sets scikit-learn's digits at 16 x 16 pixels, and minutes on two CPU cores."""
    use_two_cores_for_generation(config)
    config.data.update(
        {"source": "digits", "image_size": 16, "resize_to": 16, "flip": False}
    )
    config.model.update({"base_channels": 32, "patch_size": 2})
    config.optimizer.update({"learning_rate": 2e-3, "decay_steps": 3000})
    config.ema.decay = 0.998
    config.training.update(
        {
            "batch_size": 64,
            "num_steps": 3000,
            "evaluate_every": 1000,
            "checkpoint_every": 1000,
        }
    )


def use_mnist(config: ml_collections.ConfigDict) -> None:
    """Sets MNIST at 32 x 32 pixels."""
    config.data.update(
        {"source": "tfds", "name": "mnist", "image_size": 32, "resize_to": 32}
    )
    config.data.flip = False


def use_cifar(config: ml_collections.ConfigDict) -> None:
    """Sets CIFAR-10 at 32 x 32 pixels."""
    config.data.update(
        {"source": "tfds", "name": "cifar10", "image_size": 32, "resize_to": 32}
    )


def use_published_training(config: ml_collections.ConfigDict) -> None:
    """Sets the published optimizer, moving average, and 700,000 steps of 64 images.

    The official code sums the gradients of two micro-batches of 32; without batch
    statistics, that equals one batch of 64.
    """
    config.model.dtype = "float32"
    config.optimizer.update(
        {"learning_rate": 2e-5, "warmup_steps": 0, "decay_steps": 0}
    )
    config.ema = section("ema", name="periodic", decay=0.995, every=10, start=2000)
    config.training.update({"batch_size": 64, "num_steps": 700_000})


def use_published_convnext(config: ml_collections.ConfigDict) -> None:
    """Sets the published ConvNeXt-style U-Net and its training.

    The paper uses this network on MNIST (56,612,916 parameters) and for animorphosis.
    """
    config.model = section("model", name="convnext")
    use_published_training(config)


def use_published_generation(config: ml_collections.ConfigDict) -> None:
    """Sets the published network and training of generation, with the L1 loss."""
    config.loss = section("loss", name="l1")
    use_published_convnext(config)
