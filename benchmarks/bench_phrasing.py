"""How often a request is read as it was meant: exact parameters over requests with known ones.

    python benchmarks/bench_phrasing.py [--reader keywords] [--reader small] [--reader small:base] [--show]

`phrasings.jsonl` was written as players write, before the reader of keywords was first measured, which read 43 of 64
right. What that showed was mended since, so the wording is held out for models only. A request counts if every
parameter is right, also those that were not said and have their default; one that cannot be built counts if it is
asked back. `small` and `small:base` are the model with and without its trained addition, writing under the schema of
the parameters.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from mmi_minecraft.generators import GENERATORS, as_structure
from mmi_minecraft.requests import KeywordReader, Reading, RequestReader

PHRASINGS = Path(__file__).with_name("phrasings.jsonl")


def reader_named(name: str) -> RequestReader:
    """The baseline, or a model."""
    if name == "keywords":
        return KeywordReader()
    from mmi_minecraft.requests.model import ModelReader

    return ModelReader.load(name)


def is_right(reading: Reading, phrasing: dict[str, Any]) -> bool:
    """Whether it was understood, or asked back where it should be."""
    if phrasing.get("asks"):
        return bool(reading.question)
    return reading.structure == as_structure(phrasing["parameters"])


def is_of_its_kind(reading: Reading, phrasing: dict[str, Any]) -> bool:
    """Whether at least the kind of building is right."""
    return not phrasing.get("asks") and isinstance(reading.structure, GENERATORS[phrasing["parameters"]["kind"]])


def measure(reader: RequestReader, *, show: bool) -> dict[str, Any]:
    """Reads all of them."""
    phrasings = [json.loads(line) for line in PHRASINGS.read_text().splitlines()]
    rights: dict[str, list[bool]] = {}
    kinds = 0
    began = time.perf_counter()
    for phrasing in phrasings:
        reading = reader.read(phrasing["request"])
        right = is_right(reading, phrasing)
        kinds += is_of_its_kind(reading, phrasing)
        rights.setdefault(phrasing.get("parameters", {}).get("kind", "asks back"), []).append(right)
        if show and not right:
            print(f"{phrasing['request']}\n  {reading.question or reading.structure}")
    every = [right for group in rights.values() for right in group]
    built = [right for kind, group in rights.items() if kind != "asks back" for right in group]
    return {
        "reader": reader.name,
        "exact": f"{sum(built)}/{len(built)}",
        "right_kind": f"{kinds}/{len(built)}",
        "asked_back": f"{sum(rights['asks back'])}/{len(rights['asks back'])}",
        "by_kind": {kind: f"{sum(group)}/{len(group)}" for kind, group in rights.items()},
        "ms_per_request": round((time.perf_counter() - began) / len(every) * 1000, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reader", action="append", help="keywords, small or small:base; may be repeated")
    parser.add_argument("--show", action="store_true", help="print what was read wrongly")
    options = parser.parse_args()
    results = [measure(reader_named(name), show=options.show) for name in options.reader or ["keywords"]]
    print(json.dumps(results, indent=2))


if __name__ == "__main__":
    main()
