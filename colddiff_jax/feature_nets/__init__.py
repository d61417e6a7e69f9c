"""Feature networks for distances between sets of images."""

from colddiff_jax.feature_nets.array_networks import load_feature_net
from colddiff_jax.feature_nets.features import FeatureNet, Features
from colddiff_jax.feature_nets.inception import load_inception

__all__ = ["FeatureNet", "Features", "load_feature_net", "load_inception"]
