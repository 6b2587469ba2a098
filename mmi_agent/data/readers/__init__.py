"""Readers of training data, one file for each form; `open_data` finds out which form a file or folder has."""

from mmi_agent.data.readers.opening import FORMS, fingerprint, open_data
from mmi_agent.data.readers.reader import Reader

__all__ = ["FORMS", "Reader", "fingerprint", "open_data"]
