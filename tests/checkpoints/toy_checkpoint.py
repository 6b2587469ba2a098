"""A toy in the form of the released checkpoint: two shards of `torch.save` with an index, and a `tokenizer.model`."""

import io
import json
from collections.abc import Sequence
from pathlib import Path

import torch
from sentencepiece import SentencePieceTrainer
from torch import Tensor

from mmi_agent.checkpoints.official import to_official
from mmi_agent.models.configs import tiny
from mmi_agent.models.mm_interleaved import MMInterleavedModel

SHARDS = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin")
INDEX = "pytorch_model.bin.index.json"
SENTENCES = [
    *(f"the quick brown fox jumps over the lazy dog {37 * i}" for i in range(300)),
    *(f"Ein Bild,  ein <ref>Text</ref>\tüber {i}!" for i in range(200)),
]


def toy_model() -> MMInterleavedModel:
    return MMInterleavedModel.build(tiny(), seed=3).eval()


def released_state(model: MMInterleavedModel) -> dict[str, Tensor]:
    """What the released code would have saved, a computed table included."""
    state = {name: tensor.detach().clone() for name, tensor in to_official(model.state_dict()).items()}
    return state | {"visual_tokenizer.encoder.vision_model.embeddings.position_ids": torch.arange(17)[None]}


def write_released(folder: Path, state: dict[str, Tensor]) -> Path:
    """Writes shards and index."""
    folder.mkdir(exist_ok=True)
    names = list(state)
    parts = names[: len(names) // 2], names[len(names) // 2 :]
    for file, part in zip(SHARDS, parts, strict=True):
        torch.save({name: state[name] for name in part}, folder / file)
    weight_map = {name: file for file, part in zip(SHARDS, parts, strict=True) for name in part}
    (folder / INDEX).write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    return folder


def train_pieces(path: Path, *, vocab_size: int, model_type: str = "bpe", sentences: Sequence[str] = SENTENCES) -> Path:
    """Trains a `tokenizer.model` with the settings of the Llama family."""
    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(sentences),
        model_writer=written,
        model_type=model_type,
        vocab_size=vocab_size,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        byte_fallback=True,
        split_digits=True,
        unk_id=0,
        bos_id=1,
        eos_id=2,
        pad_id=-1,
        minloglevel=2,
    )
    path.write_bytes(written.getvalue())
    return path
