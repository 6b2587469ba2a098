import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from toy_checkpoint import INDEX, SHARDS, released_state, toy_model, train_pieces, write_released

from mmi_agent.checkpoints import convert as conversion
from mmi_agent.checkpoints import shards
from mmi_agent.checkpoints.convert import convert, read_released_config, unfinished_folder
from mmi_agent.checkpoints.converted import config_of, load_converted, load_converted_tokenizer
from mmi_agent.checkpoints.files import verify
from mmi_agent.errors import CheckpointError, ConfigError, MMIError
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.configs import tiny
from mmi_agent.models.mm_interleaved import MMInterleavedModel

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def model() -> MMInterleavedModel:
    return toy_model()


@pytest.fixture(scope="module")
def state(model: MMInterleavedModel) -> dict[str, Tensor]:
    return released_state(model)


@pytest.fixture
def source(tmp_path: Path, state: dict[str, Tensor]) -> Path:
    return write_released(tmp_path / "released", state)


def test_what_is_loaded_is_what_was_saved(source: Path, tmp_path: Path, model: MMInterleavedModel) -> None:
    train_pieces(source / "tokenizer.model", vocab_size=tiny().begin_of_image)
    manifest = convert(source, tmp_path / "out", config=tiny(), dtype=torch.float32, shard_bytes=300_000)
    assert verify(tmp_path / "out") == manifest
    assert config_of(manifest, tmp_path / "out") == tiny()
    assert manifest.source.files.keys() == set(SHARDS)
    assert sum(name.endswith(".safetensors") for name in manifest.files) > 5
    assert all(record.size_bytes < 400_000 for name, record in manifest.files.items() if name != "tokenizer.json")

    loaded = load_converted(tmp_path / "out")
    ours, theirs = (dict(each.named_parameters()) | dict(each.named_buffers()) for each in (loaded, model))
    assert ours.keys() == theirs.keys()  # tables included, and nothing on the meta device
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    ids_BT, pixels_PCHW = tiny().fake_batch()
    with torch.inference_mode():
        assert torch.equal(loaded(ids_BT, pixels_PCHW).logits, model(ids_BT, pixels_PCHW).logits)

    tokenizer = Tokenizer(load_converted_tokenizer(tmp_path / "out"), end_of_turn="</s>")
    assert (tokenizer.special("<|beginofimage|>"), tokenizer.special("<|image|>")) == (320, 321)
    assert tokenizer.decode(tokenizer.encode("the fox")).strip() == "the fox"


def test_every_form_of_a_source_gives_the_same_shards(
    source: Path, tmp_path: Path, state: dict[str, Tensor], model: MMInterleavedModel
) -> None:
    torch.save(state, tmp_path / "single.bin")
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, tmp_path / "single.safetensors")
    sources = [source, source / INDEX, tmp_path / "single.bin", tmp_path / "single.safetensors"]
    found: list[dict[str, str]] = []
    for number, each in enumerate(sources):
        manifest = convert(each, tmp_path / f"out-{number}", config=tiny(), shard_bytes=1_000_000)
        found.append({name: record.sha256 for name, record in manifest.files.items()})
    assert found[1:] == found[:-1]
    loaded = load_converted(tmp_path / "out-0").state_dict()
    assert all(torch.equal(loaded[name], tensor.bfloat16()) for name, tensor in model.state_dict().items())
    assert load_converted(tmp_path / "out-0", dtype=torch.float32).begin_of_image.dtype == torch.float32


def test_a_conversion_that_is_killed_goes_on(tmp_path: Path, state: dict[str, Tensor]) -> None:
    reading = {name: state[name] for name in state if not name.startswith(("image_decoder", "context_feat_proj"))}
    source, folder = write_released(tmp_path / "released", reading), tmp_path / "killed"
    folder.mkdir()
    command = [sys.executable, str(HERE / "killed_conversions.py"), str(source), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["points"] > 12
    assert found["fewest_bytes"] == 0 < found["all_bytes"]  # killed when all was written, nothing is written again


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs /proc to see what is mapped")
def test_pages_of_the_source_do_not_pile_up(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "_MAPPED_BYTES", 100_000)
    files = shards.WeightFiles(source)

    def resident_bytes() -> int:
        mappings = Path("/proc/self/smaps").read_text().split("VmFlags")
        sizes = [re.search(r"Rss: +(\d+) kB", mapping) for mapping in mappings if str(source) in mapping]
        return sum(1024 * int(size[1]) for size in sizes if size)

    found: list[int] = []
    for name in files.tensors:
        files.read(name)
        found.append(resident_bytes())
    whole = sum((source / file).stat().st_size for file in SHARDS)
    assert 0 < max(found) < whole / 4
    files.close()
    assert resident_bytes() == 0


def _save(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path, dict[str, Tensor]], None]:
    """Saves other tensors than those of the model."""

    def damage(source: Path, state: dict[str, Tensor]) -> None:
        changed = dict(state)
        change(changed)
        write_released(source, changed)

    return damage


def _edit(file: str, edit: Callable[[bytes], bytes | None]) -> Callable[[Path, dict[str, Tensor]], None]:
    """Changes a file, or takes it away."""

    def damage(source: Path, state: dict[str, Tensor]) -> None:
        content = edit((source / file).read_bytes())
        (source / file).unlink() if content is None else (source / file).write_bytes(content)

    return damage


def _instead(what: object) -> Callable[[Path, dict[str, Tensor]], None]:
    """Saves something that is no state of a model."""

    def damage(source: Path, state: dict[str, Tensor]) -> None:
        torch.save(what, source / SHARDS[0])

    return damage


def _flip(content: bytes) -> bytes:
    """Flips a bit of the largest tensor, in the middle of the file."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


class _Evil:
    def __reduce__(self):
        return os.mkdir, ("was-run",)


HEAD, BEGIN = "text_decoder.head_new.weight", "soi_token"
NO_NUMBER, HUGE = torch.full((2, 64), torch.nan), torch.full((2, 64), -1e30)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_edit(SHARDS[1], lambda _: None), r"00002-of-00002\.bin is missing: .*index\.json lists it with \d+ tensors"),
        (_edit(SHARDS[1], lambda content: content[:-1000]), r"00002-of-00002\.bin \([\d,]+ bytes\) is cut off or dama"),
        (_edit(SHARDS[0], lambda content: b""), r"00001-of-00002\.bin \(0 bytes\) is cut off or damaged"),
        (_edit(SHARDS[0], _flip), r"00001-of-00002\.bin: \S+ is damaged: its bytes are not those that were saved"),
        (_edit(INDEX, lambda _: b"{"), r"index\.json is no index of shards"),
        (_edit(INDEX, lambda text: text.replace(b"pytorch", b"../torch")), r"names the shard '\.\./torch_model-00001"),
        (_edit(INDEX, lambda text: text.replace(b'map": {', b'map": {"x": "' + SHARDS[0].encode() + b'", ')), "'x'"),
        (_save(lambda state: state.pop(HEAD)), r"1 of \d+ tensors are missing, the first is text_decoder"),
        (_save(lambda state: state.update({"ema.step": torch.ones(1)})), r"\.bin: 'ema\.step' is no tensor of MM-"),
        (_save(lambda state: state.update({HEAD: torch.ones(3, 64)})), r"head_new.weight has shape \(3, 64\), exp"),
        (_save(lambda state: state.update({BEGIN: torch.ones(2, 64)})), r"soi_token has shape \(2, 64\)"),
        (_save(lambda state: state.update({HEAD: torch.ones(2, 64).int()})), r"head_new.weight holds whole numbers"),
        (_save(lambda state: state.update({HEAD: NO_NUMBER})), r"\.bin: text_decoder.head_new.weight holds NaN or inf"),
        (_save(lambda state: state.update({HEAD: HUGE})), r"holds 1e\+30, too large for torch.float16: choose"),
        (_instead({"x": _Evil()}), r"00001-of-00002\.bin is refused, nothing in it was run"),
        (_instead([torch.ones(1)]), r"00001-of-00002\.bin is no dictionary of tensors"),
    ],
)  # fmt: skip
def test_a_wrong_source_is_named_and_leaves_nothing(
    source: Path,
    tmp_path: Path,
    state: dict[str, Tensor],
    damage: Callable[[Path, dict[str, Tensor]], None],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    damage(source, state)
    with pytest.raises(CheckpointError, match=said) as caught:
        convert(source, tmp_path / "out", config=tiny(), dtype=torch.float16)
    assert "\n" not in str(caught.value)
    assert str(source) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["released"]


def test_what_was_finished_for_other_options_is_not_taken(source: Path, tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(step: conversion.Step) -> None:
        if step.stage == "writing" and step.done_bytes > 500_000:
            raise StoppedError

    out = tmp_path / "out"
    with pytest.raises(StoppedError):
        convert(source, out, config=tiny(), shard_bytes=300_000, progress=stop)
    assert unfinished_folder(out).is_dir() and not out.exists()
    steps: list[conversion.Step] = []
    manifest = convert(source, out, config=tiny(), shard_bytes=400_000, progress=steps.append)
    assert next(step for step in steps if step.stage == "writing").done_bytes == 0
    assert verify(out) == manifest

    (tmp_path / "elsewhere").mkdir()
    pieces = train_pieces(tmp_path / "elsewhere" / "tokenizer.model", vocab_size=tiny().begin_of_image)
    added = convert(source, out, config=tiny(), tokenizer=pieces)
    assert added.files == manifest.files | {"tokenizer.json": added.files["tokenizer.json"]} == verify(out).files

    def expect_nothing(step: conversion.Step) -> None:
        raise AssertionError(step)  # what cannot be is said before anything is hashed

    with pytest.raises(CheckpointError, match=r"out is there already, made from released as bfloat16, which is not"):
        convert(source, out, config=tiny(), dtype=torch.float32, progress=expect_nothing)
    assert not unfinished_folder(out).exists()


def test_two_conversions_into_one_folder(source: Path, tmp_path: Path) -> None:
    def meanwhile(step: conversion.Step) -> None:
        if step.stage == "writing" and step.done_bytes == 0:
            with pytest.raises(CheckpointError, match=r"another process is converting into .*out: wait for it"):
                convert(source, tmp_path / "out", config=tiny())

    convert(source, tmp_path / "out", config=tiny(), progress=meanwhile)
    verify(tmp_path / "out")


def test_a_disk_that_is_too_small_is_said_before_anything_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def usage(_path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=1_000_000)

    monkeypatch.setattr(conversion.shutil, "disk_usage", usage)
    with pytest.raises(CheckpointError, match=r"has 0\.0 GB free, 0\.0 GB are needed: free some space"):
        convert(source, tmp_path / "out", config=tiny())
    assert not unfinished_folder(tmp_path / "out").exists()


def test_a_converted_folder_that_was_damaged(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    convert(source, out, config=tiny(), dtype=torch.float32)
    with pytest.raises(CheckpointError, match=r"out has no tokenizer: none was at hand .* --tokenizer"):
        load_converted_tokenizer(out)
    (shard,) = out.glob("*.safetensors")
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-8])
    with pytest.raises(CheckpointError, match=r"model-00001-of-00001\.safetensors has \d+ bytes, expected \d+"):
        load_converted(out)
    shard.write_bytes(b"\xff" * 8 + whole[8:])
    with pytest.raises(CheckpointError, match=r"model-00001-of-00001\.safetensors is damaged"):
        load_converted(out)
    shard.write_bytes(whole)
    manifest = out / "manifest.json"
    described = manifest.read_text()
    for dtype, num_heads, said in (("frob", 4, "'frob', which is no dtype"), ("float32", 0, "cannot be read")):
        wrong = described.replace('"dtype": "float32"', f'"dtype": "{dtype}"')
        manifest.write_text(wrong.replace('"num_heads": 4', f'"num_heads": {num_heads}'))
        with pytest.raises(CheckpointError, match=said):
            load_converted(out)
    manifest.write_text(described.replace('"dtype": "float32"', '"dtype": ""'))
    assert load_converted(out).decoder.norm.weight.dtype == torch.float32
    manifest.write_text(manifest.read_text().replace('"num_layers": 5', '"num_layers": 6'))
    with pytest.raises(CheckpointError, match=r"out lacks \d+ tensors of its own sizes, the first is decoder"):
        load_converted(out)
    manifest.write_text(manifest.read_text().replace('"model": "MM-Interleaved"', '"model": "SmolLM2"'))
    with pytest.raises(CheckpointError, match=r"out holds 'SmolLM2', expected MM-Interleaved"):
        load_converted(out)


def test_sizes_in_the_released_terms(tmp_path: Path) -> None:
    released = HERE.parent / "parity" / "released" / "config.json"
    assert read_released_config(released).decoder.hidden_size == 64
    for content in ("{", "[]", '{"llm": 3}', "{}"):
        (tmp_path / "config.json").write_text(content)
        with pytest.raises(ConfigError):
            read_released_config(tmp_path / "config.json")


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("clip", "num_attention_heads", 0),
        ("clip", "patch_size", 0),
        ("unet", "norm_num_groups", 7),
        ("llm", "hidden_size", "64"),
        ("llm", "hidden_size", -64),
    ],
)
def test_sizes_that_no_model_has_are_one_line(
    source: Path, tmp_path: Path, section: str, name: str, value: object
) -> None:
    released = json.loads((HERE.parent / "parity" / "released" / "config.json").read_text())
    released[section][name] = value
    (tmp_path / "config.json").write_text(json.dumps(released))
    with pytest.raises(MMIError, match=r"no configuration in the released code's terms|sizes that no model has"):
        convert(source, tmp_path / "out", config=read_released_config(tmp_path / "config.json"))
