"""How well the candidate answers of a dialogue were ranked."""

from collections.abc import Sequence

from mmi_agent.errors import ConfigError
from mmi_agent.evaluation.metrics.libraries import from_library

__all__ = ["ndcg"]


def ndcg(scores: Sequence[float], relevance: Sequence[float]) -> float:
    """The normalised discounted cumulative gain of a ranking, as VisDial counts it.

    Only the first k places count, k being how many candidates have any relevance. Candidates of the same score share
    their gain.

    Args:
        scores: Of each candidate; higher is better.
        relevance: Of each candidate, 0 or more, at least one of them more.

    Raises:
        ConfigError: If both do not fit each other, or nothing is relevant.
        MissingDependencyError: If torchmetrics is missing.
    """
    import torch

    relevant = sum(each > 0 for each in relevance)
    if len(scores) != len(relevance) or not relevant:
        raise ConfigError(
            f"{len(scores)} scores and {len(relevance)} relevances, {relevant} of them above 0: "
            "expected as many of one as of the other, and something relevant"
        )
    normalized_dcg = from_library("torchmetrics.functional.retrieval", "retrieval_normalized_dcg")
    return float(normalized_dcg(torch.tensor(scores).double(), torch.tensor(relevance).double(), top_k=relevant))
