"""The Fréchet distance of two sets of pictures: with the features of Inception it is FID."""

from pathlib import Path
from typing import Any

from mmi_agent.errors import ConfigError
from mmi_agent.evaluation.metrics.libraries import from_library
from mmi_agent.evaluation.metrics.networks import FeatureNetwork, in_batches
from mmi_agent.evaluation.metrics.pictures import open_rgb, pictures_below

__all__ = ["features_of", "frechet_distance", "read_features"]


def frechet_distance(features_a: Any, features_b: Any) -> float:
    """The distance of the normal distributions that fit two sets of features.

    |m_a - m_b|² + tr(C_a + C_b - 2 (C_a C_b)^½), with the means m and the covariances C.

    Args:
        features_a: Shape (pictures, width), a tensor or an array; computed in float64.
        features_b: The same width; the number of pictures may differ.

    Raises:
        ConfigError: If they are not of that shape, or of fewer than two pictures, or hold what is no number.
        MissingDependencyError: If torchmetrics is missing.

    Source: Heusel et al., GANs trained by a two time-scale update rule (arXiv:1706.08500); torchmetrics computes it.
    """
    import torch

    both = [torch.as_tensor(features, dtype=torch.float64) for features in (features_a, features_b)]
    for features in both:
        if features.ndim != 2 or len(features) < 2 or not bool(features.isfinite().all()):
            raise ConfigError(
                f"features of shape {tuple(features.shape)}: expected (pictures, width) with two pictures or more, "
                "all of them numbers"
            )
    width, other = (features.shape[1] for features in both)
    if width != other:
        raise ConfigError(f"the features are {width} and {other} numbers wide: both must come from one network")
    distance = from_library("torchmetrics.image.fid", "FrechetInceptionDistance")(feature=_as_they_are(width))
    for features, real in zip(both, (False, True), strict=True):
        distance.update(features, real=real)
    return max(0.0, float(distance.compute()))


def read_features(path: Path) -> Any:
    """Reads features from a `.npy` file, or the only tensor of a `.safetensors` file.

    Raises:
        ConfigError: If the file is none of these or cannot be read.
    """
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        if path.suffix == ".npy":
            numbers = np.load(path, allow_pickle=False)
            if numbers.dtype.kind not in "fiu":
                raise ValueError(f"it holds {numbers.dtype}, expected numbers")
            return numbers
        if path.suffix == ".safetensors":
            (features,) = load(path.read_bytes()).values()
            return features
    except (OSError, EOFError, ValueError, SafetensorError) as error:
        raise ConfigError(f"cannot read features from {path}: {error}") from error
    raise ConfigError(f"{path} is neither a folder of pictures nor features as .npy or .safetensors")


def features_of(folder: Path, network: FeatureNetwork) -> Any:
    """The features of every picture below a folder.

    Raises:
        ConfigError: If there is none, or one cannot be read.
    """
    import torch

    paths = pictures_below(folder)
    return torch.cat([network.features([open_rgb(path) for path in batch]).cpu() for batch in in_batches(paths)])


def _as_they_are(width: int) -> Any:
    """What torchmetrics takes for a network: the features are there already."""
    import torch

    network = torch.nn.Identity()
    network.num_features = width  # type: ignore[assignment]
    return network
