"""Animorphosis: images that turn into other images, faces into animals; T = 200.

FOLDERS="--config.data.path=celeba --config.endpoints.path=afhq"
python train.py --config=configs/animorph.py $FOLDERS          one GPU or TPU
python train.py --config=configs/animorph.py:cpu $FOLDERS      64 x 64, two CPU cores
python train.py --config=configs/animorph.py:paper $FOLDERS    the published settings
python train.py --config=configs/animorph.py:smoke    seconds, on bundled digits

`data` are the images to generate, `endpoints` those to begin with: each a folder of
image files of any size, or of folders train and test (or val). The paper's are CelebA
and AFHQ. Either may be a set of TensorFlow Datasets as well; prepare it once with
`python -m colddiff_jax.data.prepare celeb_a`, then

--config.data.source=tfds --config.data.name=celeb_a

The two sets are shuffled, cut and mirrored independently, so that every image meets
every endpoint. Afterwards `python sample.py --workdir=runs/animorph` turns the test
endpoints into images. It holds the endpoint on the way, as the official code does where
it generates; --endpoint=estimated solves for it at every step, as its test grids do.

Reference: Bansal et al. (2022), section 5.3. `paper` has its schedule, network
(56,615,708 parameters), optimiser, average and number of steps. The official loader
resizes images to a square; ours keeps their proportions and cuts the centre.
"""

import ml_collections

from configs import base


def get_config(variant: str | None = None) -> ml_collections.ConfigDict:
    """Returns the default configuration, or the variant named after the colon."""
    config = base.get_config(variant, known=("cpu", "paper", "smoke"))
    config.data.update(
        {"source": "folder", "image_size": 128, "resize_to": 143, "flip": True}
    )
    config.endpoints.source = "folder"
    config.degradation = ml_collections.ConfigDict(
        {"name": "animorph", "alphas_cumprod": {"name": "cosine", "num_steps": 200}}
    )
    config.model.update(
        {
            "base_channels": 64,
            "channel_multipliers": (1, 2, 4, 4),
            "dropout": 0.0,
        }
    )
    config.training.batch_size = 64
    if variant == "cpu":
        config.data.update({"image_size": 64, "resize_to": 71})
        base.use_two_cores(config)
    if variant == "paper":
        base.use_published_convnext(config)
        base.use_published_training(config)
    if variant == "smoke":
        config.data.image_size = 16
        base.use_smoke(config)
        config.endpoints.source = "digits"
    return config
