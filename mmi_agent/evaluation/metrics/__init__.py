"""Metrics of the released model's own tasks, so that whoever has the data can run its paper again (arXiv:2401.10208).

Each function takes plain values and returns a plain number; `files` reads the files of a task and adds the interval.
"""

from mmi_agent.evaluation.metrics.answers import shortened, vqa_accuracy
from mmi_agent.evaluation.metrics.captions import cider
from mmi_agent.evaluation.metrics.dialogue import ndcg
from mmi_agent.evaluation.metrics.distance import frechet_distance
from mmi_agent.evaluation.metrics.referring import box_of, overlap
from mmi_agent.evaluation.metrics.score import Score, bootstrap_interval
from mmi_agent.evaluation.metrics.segmentation import mean_iou

__all__ = [
    "Score",
    "bootstrap_interval",
    "box_of",
    "cider",
    "frechet_distance",
    "mean_iou",
    "ndcg",
    "overlap",
    "shortened",
    "vqa_accuracy",
]
