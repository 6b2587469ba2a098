"""Readers of requests: from "oak fence 9 by 7 with a gate" to the parameters of a generator."""

from mmi_minecraft.requests.keywords import KeywordReader
from mmi_minecraft.requests.reading import Reading, RequestReader, read_parameters

__all__ = ["KeywordReader", "Reading", "RequestReader", "read_parameters"]
