"""The fields that every experiment has; each config file changes what it needs.

A section holds the arguments of the function or class it feeds, so the documentation of
a field is that function's: data and endpoints (colddiff_jax.data), degradation
(colddiff_jax.degradations), model (colddiff_jax.models), loss (colddiff_jax.losses),
objective (colddiff_jax.training.objective), optimizer and ema
(colddiff_jax.training.state), training, evaluation and logging
(colddiff_jax.training.options).
"""

import ml_collections

from colddiff_jax.errors import InputError


def get_config(
    variant: str | None, known: tuple[str, ...]
) -> ml_collections.ConfigDict:
    """The fields shared by all experiments.

    Args:
        variant: what follows the colon in --config=FILE:VARIANT, or nothing.
        known: the variants the config file has.

    Raises:
        InputError: an unknown variant.
    """
    if variant and variant not in known:
        raise InputError(
            f"no variant {variant!r} of this configuration; it has {', '.join(known)}"
        )
    config = ml_collections.ConfigDict()
    config.seed = 0
    config.data = ml_collections.ConfigDict(
        {
            "source": "tfds",  # or "folder", "npz", "digits"
            "name": "",  # of the TFDS set
            "data_dir": "",  # where it was prepared; empty: TFDS's default
            "test_split": "test",  # of the TFDS set
            "path": "",  # of the npz file, or the folder
            "channels": 3,  # of the images in a folder: 3, or 1 for grey
            "test_share": 0.1,  # of a folder without train/ and test/
            "max_unreadable": 0.01,  # the share of a folder's files that may be broken
            "image_size": 32,
            "resize_to": 0,
            "pad": 0,
            "flip": False,
        }
    )
    # Images that animorph blends with: source, and the fields of that source.
    config.endpoints = ml_collections.ConfigDict(
        {
            "source": "",
            "name": "",
            "data_dir": "",
            "test_split": "test",
            "path": "",
            "channels": 3,
            "test_share": 0.1,
            "max_unreadable": 0.01,
        }
    )
    config.degradation = ml_collections.ConfigDict()
    config.model = ml_collections.ConfigDict(
        {
            "name": "unet",
            "precondition": False,  # scale input and output as measured on the data
            "base_channels": 128,
            "channel_multipliers": (1, 2, 2, 2),
            "num_blocks": 2,
            "attention_resolutions": (16,),
            "num_groups": 32,
            "dropout": 0.1,
            "num_classes": 0,  # of labels that the data have and the network sees
            "patch_size": 1,
            "dtype": "auto",  # bfloat16 where the hardware is fast at it, else float32
        }
    )
    config.loss = ml_collections.ConfigDict({"name": "l1"})
    config.objective = ml_collections.ConfigDict(
        {"weights": (), "input_noise": 0.0, "rollouts": 0.0, "label_dropout": 0.1}
    )
    config.optimizer = ml_collections.ConfigDict(
        {
            "learning_rate": 2e-4,
            "warmup_steps": 1000,
            "decay_steps": 0,
            "weight_decay": 0.0,
            "clip_norm": 0.0,
        }
    )
    config.ema = ml_collections.ConfigDict({"name": "warmup", "decay": 0.9999})
    config.training = ml_collections.ConfigDict(
        {
            "batch_size": 128,
            "micro_batches": 1,
            "steps_per_call": 1,
            "num_steps": 200_000,
            "log_every": 100,
            "evaluate_every": 5_000,
            "checkpoint_every": 5_000,
            "skip_nonfinite": 0,
            "resident_mb": ml_collections.config_dict.placeholder(int),
            "num_workers": 0,
            "profile_steps": 0,
        }
    )
    config.evaluation = ml_collections.ConfigDict(
        {"num_images": 256, "batch_size": 128, "best_by": "test_loss"}
    )
    config.logging = ml_collections.ConfigDict({"tensorboard": False, "wandb": ""})
    return config


def use_smoke(config: ml_collections.ConfigDict) -> None:
    """Shrinks an experiment to seconds on a CPU, on the bundled digits."""
    size = config.data.image_size
    config.data.update({"source": "digits", "resize_to": size, "pad": 0, "flip": False})
    config.model = ml_collections.ConfigDict(
        {
            "name": "unet",
            "base_channels": 16,
            "channel_multipliers": (1, 2),
            "num_blocks": 1,
            "attention_resolutions": (),
            "num_groups": 4,
            "dropout": 0.1,
            "num_classes": 0,
            "precondition": False,
            "patch_size": 4,
            "dtype": "float32",
        }
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
    """A network of 2.6 million parameters and a short training, for two CPU cores.

    It folds 4 x 4 pixels into channels, where a CPU is fast, and reads the step well:
    with as many groups as channels the network could not.
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
        {"learning_rate": 2e-3, "warmup_steps": 200, "decay_steps": 4000}
    )
    config.ema.decay = 0.999
    config.training.update(
        {
            "batch_size": 64,
            "num_steps": 4000,
            "log_every": 50,
            "evaluate_every": 1000,
            "checkpoint_every": 1000,
        }
    )
    config.evaluation.update({"num_images": 128, "batch_size": 64})


def use_published_training(config: ml_collections.ConfigDict) -> None:
    """The published optimiser, average and length: 700,000 steps of 64 images.

    The official code sums two micro-batches of 32; without batch statistics that is one
    batch of 64.
    """
    config.model.dtype = "float32"
    config.optimizer.update(
        {"learning_rate": 2e-5, "warmup_steps": 0, "decay_steps": 0}
    )
    config.ema = ml_collections.ConfigDict(
        {"name": "periodic", "decay": 0.995, "every": 10, "start": 2000}
    )
    config.training.update({"batch_size": 64, "num_steps": 700_000})


def use_published_convnext(config: ml_collections.ConfigDict) -> None:
    """The ConvNeXt-style U-Net of the paper's MNIST runs, 56,612,916 parameters."""
    config.model = ml_collections.ConfigDict(
        {
            "name": "convnext",
            "base_channels": 64,
            "channel_multipliers": (1, 2, 4, 8),
            "num_classes": 0,
            "precondition": False,
            "dtype": "float32",
        }
    )
