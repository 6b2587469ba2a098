"""Mean intersection over union of class maps."""

from collections.abc import Iterable
from typing import Any

from mmi_agent.errors import ConfigError
from mmi_agent.evaluation.metrics.libraries import from_library

__all__ = ["mean_iou"]


def mean_iou(maps: Iterable[tuple[Any, Any]], *, classes: int, ignore: int | None = None) -> float:
    """Says how well predicted class maps cover the true ones.

    The pixels of all maps are counted together; the mean goes over the classes that occur in any of them.

    Args:
        maps: Predicted and true map of each picture: whole numbers below `classes`, both of the same shape.
        classes: How many numbers there are, the ignored one included.
        ignore: Pixels whose true class it is do not count, and it is no class of the mean; where it is predicted for
            another pixel, that is wrong. It may lie beyond `classes`, as 255 does.

    Returns:
        From 0 to 1.

    Raises:
        ConfigError: If there is no map, two maps differ in shape, or a number is too large.
        MissingDependencyError: If torchmetrics is missing.
    """
    import torch

    jaccard_index = from_library("torchmetrics.classification", "MulticlassJaccardIndex")
    beyond = ignore is not None and not 0 <= ignore < classes
    ignored, places = (classes, classes + 1) if beyond else (ignore, classes)  # each number has a place of its own
    metric = jaccard_index(num_classes=places, ignore_index=ignored, average="macro", validate_args=False)
    count = 0
    for count, pair in enumerate(maps, start=1):
        predicted, true = (torch.as_tensor(each).long() for each in pair)
        if predicted.shape != true.shape:
            raise ConfigError(
                f"pair {count}: the predicted map is {tuple(predicted.shape)} and the true one {tuple(true.shape)}"
            )
        for name, each in (("predicted", predicted), ("true", true)):
            counted = each if ignore is None else each[each != ignore]
            if counted.numel() and not 0 <= int(counted.min()) <= int(counted.max()) < classes:
                raise ConfigError(
                    f"pair {count}: the {name} map goes up to {int(counted.max())}: expected 0 to {classes - 1}"
                )
        metric.update(*(each.masked_fill(each == ignore, classes) if beyond else each for each in (predicted, true)))
    if not count:
        raise ConfigError("there is no pair of class maps")
    return float(metric.compute())
