"""A Llama family's `tokenizer.model` becomes the `tokenizer.json` that the rest of the library reads.

Such a vocabulary is byte-pair encoding with a fallback to bytes; its file names pieces with scores where the other
format names merges. What comes out is compared with what `sentencepiece` itself says before it is used.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers

from mmi_agent.errors import CheckpointError, MissingDependencyError

__all__ = ["END_OF_TEXT", "MARKERS", "read_tokenizer"]

END_OF_TEXT = "</s>"
"""What ends a text, and what a model of this family writes, by name."""

MARKERS = ("<|beginofimage|>", "<|image|>")
"""What the released code adds to Vicuna's vocabulary, in this order."""

_SPACE = "▁"
_PROBES = (
    "USER: Where is the <ref>red cup</ref><box>(012,345)(678,999)</box>? ASSISTANT: On the table.",
    "def f(x):\n\treturn {'a': 1.5e-3}  # two  spaces,   three",
    " Grüße aus Zürich, où ça va? 日本語のテキスト, русский, العربية, 🙂🚀",
    "",
    "\n\n",
)


def read_tokenizer(path: Path, markers: Sequence[tuple[str, int]]) -> Tokenizer:
    """Reads a `tokenizer.model` or a `tokenizer.json`, and sees to it that it has the markers.

    Args:
        path: The file.
        markers: Names of markers that follow the vocabulary, and the ids that the model knows them by.

    Raises:
        CheckpointError: If the file is damaged, or belongs to another model.
        MissingDependencyError: If `sentencepiece` is needed and not installed.
    """
    tokenizer = _read_json(path) if path.suffix == ".json" else _read_pieces(path)
    tokenizer.add_special_tokens([name for name, _ in markers])
    for name, expected in markers:
        if (found := tokenizer.token_to_id(name)) != expected:
            raise CheckpointError(f"{path} gives {name} the id {found}, expected {expected}: it is of another model")
    if tokenizer.token_to_id(END_OF_TEXT) is None:
        raise CheckpointError(f"{path} has no token {END_OF_TEXT}: expected the tokenizer of a Llama family")
    return tokenizer


def _read_json(path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_str(path.read_text(encoding="utf-8"))
    except Exception as error:  # tokenizers raises nothing narrower
        raise CheckpointError(f"{path} is not a tokenizer ({error}); fetch it again") from error


def _read_pieces(path: Path) -> Tokenizer:
    try:
        from sentencepiece import SentencePieceProcessor
    except ImportError as error:
        raise MissingDependencyError(f"{path} needs sentencepiece to be read: pip install sentencepiece") from error

    try:
        reference: Any = SentencePieceProcessor(model_proto=path.read_bytes())
    except (OSError, RuntimeError) as error:
        raise CheckpointError(f"{path} is not a sentencepiece model ({error}); fetch it again") from error
    another_kind = CheckpointError(f"{path} is of another kind: expected byte-pair encoding as of the Llama family")
    if not all(float(reference.get_score(i)).is_integer() for i in range(reference.get_piece_size())):
        raise another_kind  # the scores are log probabilities, not ranks of merges
    tokenizer = _converted(reference)
    for probe in _PROBES:
        if tokenizer.encode(probe, add_special_tokens=False).ids != reference.encode(probe):
            raise another_kind
    return tokenizer


def _converted(pieces: Any) -> Tokenizer:
    ids = range(pieces.get_piece_size())
    vocabulary: dict[str, int] = {pieces.id_to_piece(i): i for i in ids}
    fixed = [i for i in ids if pieces.is_control(i) or pieces.is_unknown(i)]
    scores = {
        pieces.id_to_piece(i): float(pieces.get_score(i)) for i in ids if i not in fixed and not pieces.is_byte(i)
    }
    tokenizer = Tokenizer(
        models.BPE(
            vocab=vocabulary,
            merges=_merges(scores),
            unk_token=pieces.id_to_piece(pieces.unk_id()),
            fuse_unk=True,
            byte_fallback=True,
        )
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)]  # as the slow tokenizer of the released code
    )
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace(_SPACE, " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([pieces.id_to_piece(i) for i in fixed])
    return tokenizer


def _merges(scores: dict[str, float]) -> list[tuple[str, str]]:
    """Every way to put a piece together from two, the piece of the highest score first."""
    by_score = sorted(scores, key=lambda piece: -scores[piece])
    return [
        (piece[:i], piece[i:])
        for piece in by_score
        for i in range(1, len(piece))
        if piece[:i] in scores and piece[i:] in scores
    ]
