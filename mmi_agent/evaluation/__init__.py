"""Many episodes, many policies: run them side by side, keep every result, and say what came out."""

from mmi_agent.evaluation.plan import EvaluationConfig
from mmi_agent.evaluation.report import write_report
from mmi_agent.evaluation.results import EpisodeResult
from mmi_agent.evaluation.statistics import Summary, summarise
from mmi_agent.evaluation.study import Study
from mmi_agent.evaluation.suites import SUITES, default_seeds, environment_tasks, suite_environments

__all__ = [
    "SUITES",
    "EpisodeResult",
    "EvaluationConfig",
    "Study",
    "Summary",
    "default_seeds",
    "environment_tasks",
    "suite_environments",
    "summarise",
    "write_report",
]
