"""Fewer bits change the numbers a little, the memory a lot, and nothing else."""

from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch

from mmi_agent.errors import ConfigError, MissingDependencyError
from mmi_agent.inference import quantization
from mmi_agent.inference.compiled import CompiledDecoder
from mmi_agent.inference.loading import MMInterleaved
from mmi_agent.inference.offloading import brought_to
from mmi_agent.inference.quantization import can_halve, quantize
from mmi_agent.models.configs import tiny
from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.language_decoder import LanguageDecoder

needs_torchao = pytest.mark.skipif(find_spec("torchao") is None, reason="torchao is not installed: pip install torchao")


def build(hidden_size: int = 64) -> LanguageDecoder:
    synchronizer = tiny().decoder.synchronizer
    assert synchronizer is not None
    synchronizer = replace(synchronizer, token_width=hidden_size)
    config = replace(tiny().decoder, num_layers=2, hidden_size=hidden_size, synchronizer=synchronizer)
    decoder = LanguageDecoder(config).eval().requires_grad_(False)
    for name, parameter in decoder.named_parameters():
        if name.endswith("look.gate"):
            parameter.fill_(0.5)
    return decoder


needs_fbgemm = pytest.mark.skipif(not can_halve("cpu", torch.float32), reason="this torch has no FBGEMM")


@pytest.mark.parametrize(
    ("bits", "error"),
    [
        pytest.param(16, 1e-3, marks=needs_fbgemm),
        pytest.param(8, 0.01, marks=needs_torchao),
        pytest.param(4, 0.1, marks=needs_torchao),
    ],
)
@torch.inference_mode()
def test_a_quantized_decoder_reads_much_the_same(bits, error):
    torch.manual_seed(0)
    decoder, memory = build(), PictureMemory()
    config = decoder.config.synchronizer
    assert config is not None
    memory.append(decoder.project_pictures(torch.randn(1, 1, config.num_cells, config.feature_width)), start=0)
    embeddings_1TC = torch.randn(1, 5, 64)
    before_1TC = decoder(embeddings_1TC, pictures=memory)
    logits_1TV = decoder.logits(before_1TC)
    kept = {name: tensor for name, tensor in decoder.state_dict().items() if ".look." in name or "layers" not in name}
    quantize(decoder, bits)
    after_1TC = decoder(embeddings_1TC, pictures=memory)
    distance = float((after_1TC - before_1TC).norm() / before_1TC.norm())
    assert 0 < distance < error
    assert all(torch.equal(decoder.state_dict()[name], tensor) for name, tensor in kept.items())
    assert 0 < float((decoder.logits(after_1TC) - logits_1TV).norm() / logits_1TV.norm()) < error
    torch.testing.assert_close(decoder.logits(after_1TC)[0, -1], decoder.logits(after_1TC[0, -1]))
    with pytest.raises(ConfigError, match="quantized already"):
        quantize(decoder, bits)
    if bits == 16:
        return  # cannot be compiled

    compiled, cache = CompiledDecoder(decoder, tokens=8, pictures=1, backend="aot_eager"), decoder.open_cache()
    tokens = [compiled(token_11C, cache=cache, pictures=memory) for token_11C in embeddings_1TC.split(1, 1)]
    torch.testing.assert_close(torch.cat(tokens, 1), after_1TC, atol=1e-5, rtol=1e-4)


@needs_torchao
def test_what_cannot_be_quantized_is_named():
    with pytest.raises(ConfigError, match="3 bits: 16, 8 and 4"):
        quantize(build(), 3)
    with pytest.raises(ConfigError, match=r"32 divides, these are \[48, 96\]"):
        quantize(build(hidden_size=48), 4)
    with pytest.raises(ConfigError, match="not on 'mps'"):
        quantize(build(), 4, device="mps")


@needs_fbgemm
def test_half_precision_is_for_float32_on_x86_cpus():
    with pytest.raises(ConfigError, match=r"16 bits of torch.bfloat16 on 'cpu'"):
        quantize(build().bfloat16(), 16)
    with pytest.raises(ConfigError, match=r"16 bits of torch.float32 on 'meta'"):
        quantize(build(), 16, device="meta")
    with pytest.raises(ConfigError, match="cannot be compiled"):
        MMInterleaved.from_pretrained("tiny", bits=16, draws=False).compile()


def test_torchao_is_asked_for_where_it_is_missing(monkeypatch):
    monkeypatch.setattr(quantization, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r"pip install .mmi-agent\[quantize\]"):
        quantize(build(), 8)


def test_what_was_brought_goes_home_even_after_a_failure():
    module = torch.nn.Linear(2, 2)
    meta = torch.device("meta")
    with brought_to(module, torch.device("cpu")):
        assert module.weight.device.type == "cpu"
    with pytest.raises(NotImplementedError), brought_to(module, meta):  # nothing comes back from there
        assert module.weight.device == meta
        raise ZeroDivisionError
