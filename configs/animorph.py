"""Animorphosis: turning images into other images, faces into animals; T = 200.

FOLDERS="--config.data.path=celeba --config.endpoints.path=afhq"
python train.py --config=configs/animorph.py $FOLDERS          one GPU or TPU
python train.py --config=configs/animorph.py:cpu $FOLDERS      64 x 64, two CPU cores
python train.py --config=configs/animorph.py:paper $FOLDERS    the published settings
python train.py --config=configs/animorph.py:mnist             clothes into digits
python train.py --config=configs/animorph.py:fashion           digits into clothes
python train.py --config=configs/animorph.py:cifar    a folder's images into CIFAR-10
python train.py --config=configs/animorph.py:smoke    seconds, on bundled digits

`data` names the images to generate and `endpoints` the images to start from; the paper
uses CelebA and AFHQ. Each is a folder of image files of any size, or with subfolders
train and test (or val). Either may also be a TensorFlow Datasets set; prepare it once
with `python -m colddiff_jax.cli.prepare celeb_a` and add

--config.data.source=tfds --config.data.name=celeb_a

The two sets are shuffled, cropped and flipped independently, so that every image is
paired with every endpoint. After training, `python sample.py --workdir=runs/animorph`
turns the test endpoints into images, and --generate=64 those of training. It keeps the
endpoint fixed, as the official code does to generate images; --endpoint=estimated
solves for it at every step, as the official code does for its test grids.

`mnist` turns Fashion-MNIST into MNIST on two CPU cores, `fashion` the other way, and
`cifar` images of the folder --config.endpoints.path into CIFAR-10. For files, add
--config.data.source=npz --config.data.path=mnist.npz, and the same for endpoints.

Reference: Bansal et al. (2022), section 5.3. `paper` has its schedule, network
(56,615,708 parameters), optimizer, average and number of steps. The official loader
resizes images to a square; ours keeps their aspect ratio and crops the centre.
"""

import ml_collections

from colddiff_jax.training.config import default_config, with_variant
from colddiff_jax.training.presets import (
    use_cifar,
    use_generation,
    use_mnist,
    use_published_generation,
    use_smoke,
    use_two_cores_for_generation,
)


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = default_config(
        degradation={
            "name": "animorph",
            "alphas_cumprod": {"name": "cosine", "num_steps": 200},
        }
    )
    use_generation(config)
    config.endpoints.source = "folder"
    return with_variant(
        config,
        variant,
        cpu=_use_cpu,
        paper=use_published_generation,
        mnist=_use_mnist,
        fashion=_use_fashion,
        cifar=_use_cifar,
        smoke=_use_smoke,
    )


def _use_cpu(config: ml_collections.ConfigDict) -> None:
    config.data.update({"image_size": 64, "resize_to": 71})
    use_two_cores_for_generation(config)


def _use_mnist(config: ml_collections.ConfigDict) -> None:
    use_mnist(config)
    config.endpoints.update({"source": "tfds", "name": "fashion_mnist"})
    use_two_cores_for_generation(config)


def _use_fashion(config: ml_collections.ConfigDict) -> None:
    _use_mnist(config)
    config.data.name, config.endpoints.name = "fashion_mnist", "mnist"
    # Digits are black in most pixels, which leaves little to choose the clothes by.
    config.degradation.endpoint_noise = 0.2


def _use_cifar(config: ml_collections.ConfigDict) -> None:
    use_cifar(config)
    use_two_cores_for_generation(config)


def _use_smoke(config: ml_collections.ConfigDict) -> None:
    config.data.image_size = 16
    use_smoke(config)
    config.endpoints.source = "digits"
