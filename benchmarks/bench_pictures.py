"""What a token costs when 1, 4 or 16 pictures stand before it: the features of each are projected once.

    python benchmarks/bench_pictures.py [--size middle] [--device cpu]

Prints the milliseconds of a token with each number of pictures, turn about, and their ratios to one picture. The floor
is the time of a token without a look at pictures. Documents are of one length, so that attention to text is the same.
On a GPU the same follows with the step recorded as a CUDA graph that has room for just so many pictures.
"""

import argparse
from collections.abc import Callable, Mapping

import torch
from sizes import benchmark, config_of, finish, like, note, on, open_gates, rounded, turn_about
from torch import Tensor

from mmi_agent.inference.compiled import CompiledDecoder
from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.language_decoder import LanguageDecoder

_LENGTH = 1200  # tokens before: 16 pictures of 65 and some text
_COUNTS = (0, 1, 4, 16)


def memory_of(decoder: LanguageDecoder, num_pictures: int) -> PictureMemory:
    """Random pictures that all tokens see."""
    memory, config = PictureMemory(), decoder.config.synchronizer
    assert config is not None
    for _ in range(num_pictures):
        features_11SF = torch.randn(1, 1, config.num_cells, config.feature_width, **like(decoder))
        memory.append(decoder.project_pictures(features_11SF), start=0)
    return memory


def compared(options: argparse.Namespace, tokens: Mapping[int, Callable[[], object]]) -> dict[str, object]:
    """Times a token with each number of pictures, turn about."""
    token_s = turn_about(tokens, options, warm_up=3)
    return {
        "token_ms": {count: rounded(1e3 * token_s[count]) for count in tokens},
        "ratio_to_one_picture": {count: rounded(token_s[count] / token_s[1]) for count in tokens},
    }


@torch.inference_mode()
def main() -> None:
    options = benchmark(__doc__, rounds=40).parse_args()
    with on(options):
        decoder = LanguageDecoder(config_of(options.size).decoder).eval()
        open_gates(decoder)
    embedding_11C = torch.randn(1, 1, decoder.config.hidden_size, **like(decoder))
    cache = decoder.open_cache(capacity=_LENGTH + 1)
    decoder(torch.randn(1, _LENGTH, decoder.config.hidden_size, **like(decoder)), cache=cache)
    memories = {count: memory_of(decoder, count) for count in _COUNTS}

    def eager(count: int) -> Callable[[], Tensor]:
        def token() -> Tensor:
            cache.rewind(_LENGTH)
            return decoder(embedding_11C, cache=cache, pictures=memories[count])

        return token

    results: dict[str, object] = {"tokens_before": _LENGTH, "goal": "16 pictures: at most 1.1"}
    results["eager"] = compared(options, {count: eager(count) for count in memories})
    if options.device != "cpu":
        note(options, **results)
        caches = {count: cache.fork(capacity=_LENGTH + 64 + options.rounds) for count in _COUNTS[1:]}

        def recorded(count: int) -> Callable[[], Tensor]:
            read = CompiledDecoder(decoder, tokens=1536, pictures=count, backend=None)
            return lambda: read(embedding_11C, cache=caches[count], pictures=memories[count])

        results["recorded"] = compared(options, {count: recorded(count) for count in caches})
    finish(options, **results)


if __name__ == "__main__":
    main()
