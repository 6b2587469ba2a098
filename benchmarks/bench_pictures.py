"""What a token costs when 1, 4 or 16 pictures stand before it: the features of each are projected once.

    python benchmarks/bench_pictures.py [--size middle] [--device cpu]

Prints the milliseconds of a token with each number of pictures, turn about, and their ratios to one picture. The floor
is the time of a token without a look at pictures. Documents are of one length, so that attention to text is the same.
"""

import statistics

import torch
from sizes import benchmark, clock_s, config_of, finish, on, open_gates, rounded

from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.language_decoder import LanguageDecoder

_LENGTH = 1200  # tokens before: 16 pictures of 65 and some text
_COUNTS = (0, 1, 4, 16)


def memory_of(decoder: LanguageDecoder, num_pictures: int) -> PictureMemory:
    """Random pictures that all tokens see."""
    memory, config = PictureMemory(), decoder.config.synchronizer
    assert config is not None
    for _ in range(num_pictures):
        memory.append(decoder.project_pictures(torch.randn(1, 1, config.num_cells, config.feature_width)), start=0)
    return memory


def main() -> None:
    parser = benchmark(__doc__, rounds=40)
    options = parser.parse_args()
    with on(options):
        config = config_of(options.size).decoder
        decoder = LanguageDecoder(config).eval()
        open_gates(decoder)
        embedding_11C = torch.randn(1, 1, config.hidden_size)
        cache = decoder.open_cache(capacity=_LENGTH + 1)
        decoder(torch.randn(1, _LENGTH, config.hidden_size), cache=cache)
        memories = {count: memory_of(decoder, count) for count in _COUNTS}
        taken: dict[int, list[float]] = {count: [] for count in _COUNTS}
        for round in range(options.rounds + 3):
            for count, memory in memories.items():
                cache.rewind(_LENGTH)
                began = clock_s(options)
                decoder(embedding_11C, cache=cache, pictures=memory)
                if round >= 3:
                    taken[count].append(clock_s(options) - began)
    token_s = {count: statistics.median(times) for count, times in taken.items()}
    finish(
        options,
        tokens_before=_LENGTH,
        token_ms={count: rounded(1e3 * token_s[count]) for count in _COUNTS},
        ratio_to_one_picture={count: rounded(token_s[count] / token_s[1]) for count in _COUNTS},
        goal="16 pictures: at most 1.1",
    )


if __name__ == "__main__":
    main()
