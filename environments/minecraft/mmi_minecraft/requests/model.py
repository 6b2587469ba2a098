"""The model reads requests: it writes parameters under their JSON schema, so that every answer is a valid one.

First it names the kind of building, then the parameters that are said; the rest keeps its default. It is shown a few
requests with their parameters before.
"""

import json
from typing import Any

from mmi_agent.inference.grammar import Grammar
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.sampling import Sampling
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_minecraft.generators import GENERATORS
from mmi_minecraft.requests.reading import Reading, read_parameters

__all__ = ["ModelReader"]

_NOTHING = "unknown"
_EXAMPLES: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "a birch fence of 8 by 6, gate to the north",
        {"kind": "fence", "material": "birch", "width": 8, "depth": 6, "gate": "north"},
    ),
    ("granite wall 11 long, 2 high", {"kind": "wall", "material": "granite", "length": 11, "height": 2}),
    ("sand path, 9 long", {"kind": "path", "material": "sand", "length": 9}),
    ("oak stairs 3 wide", {"kind": "stairs", "material": "oak", "width": 3}),
    ("bridge 10 long with lights", {"kind": "bridge", "length": 10, "lights": True}),
    ("round tower 9 high", {"kind": "tower", "shape": "round", "height": 9}),
    (
        "spruce hut 6 by 8 without windows",
        {"kind": "hut", "walls": "spruce_planks", "width": 6, "depth": 8, "windows": 0},
    ),
    ("tell me a story", {"kind": _NOTHING}),
)


class ModelReader:
    """MM-Interleaved fills in the parameters.

    Args:
        loaded: Model and tokenizer.
        name: What it is called in comparisons.
    """

    def __init__(self, loaded: MMInterleaved, *, name: str = "") -> None:
        self.name = name or loaded.name
        self._loaded = loaded
        self._kinds = Grammar.for_choices([f'"{kind}"' for kind in (*GENERATORS, _NOTHING)], loaded.tokenizer)
        self._grammars = {kind: _grammar(kind, loaded.tokenizer) for kind in GENERATORS}
        self._document = loaded.open()
        self._document.append(_shown())
        self._read = len(self._document.units)

    @classmethod
    def load(cls, name: str) -> "ModelReader":
        """Loads "small", with what was trained on top of it, or "small:base" without.

        Raises:
            UnknownNameError: If there is no such preset.
            CheckpointError: If weights are missing or damaged.
        """
        preset, _, weights = name.partition(":")
        loaded = MMInterleaved.from_pretrained(preset, draws=False, weights=weights or None)
        return cls(loaded, name=name)

    def read(self, request: str) -> Reading:
        """Understands a request, or finds out what to ask."""
        document = self._document
        document.rewind(self._read)
        document.append(f"Request: {' '.join(request.split())[:400]}\nKind: ")
        kind = json.loads(self._write(self._kinds))
        if kind == _NOTHING:
            return Reading(question=f"What shall I build? I know: {', '.join(GENERATORS)}.")
        document.append("\nParameters: ")
        return read_parameters({"kind": kind, **json.loads(self._write(self._grammars[kind]))})

    def _write(self, grammar: Grammar) -> str:
        pieces = self._document.write(
            max_tokens=grammar.max_tokens, sampling=Sampling(temperature=0), grammar=grammar, pictures=0
        )
        ids = [token for piece in pieces for token in piece.ids]
        return self._loaded.tokenizer.decode(ids)


def _shown() -> str:
    lines = ["Each request for a building in Minecraft becomes parameters. Only what is said is written.\n"]
    for request, parameters in _EXAMPLES:
        said = {name: value for name, value in parameters.items() if name != "kind"}
        lines.append(f'Request: {request}\nKind: "{parameters["kind"]}"')
        lines.append(f"Parameters: {json.dumps(said, separators=(',', ':'))}\n" if said else "")
    return "\n".join(lines) + "\n"


def _grammar(kind: str, tokenizer: Tokenizer) -> Grammar:
    """Of the parameters of a kind, each of which may be left out."""
    schema = GENERATORS[kind].model_json_schema()
    properties = {name: rule for name, rule in schema["properties"].items() if name != "kind"}
    return Grammar.for_json({**schema, "properties": properties, "required": []}, tokenizer)
