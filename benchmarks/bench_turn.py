"""What a turn costs that brings one new picture to eight earlier ones, and what it would cost to begin again.

    python benchmarks/bench_turn.py [--size middle] [--device cpu] [--profile]

A document holds eight turns: a picture, 40 tokens that were said and 40 that were answered. The next turn shows a ninth
picture and says 40 tokens. Prints the milliseconds of reading only that turn, of reading everything again in one piece
as the released code does for every answer, their ratio, and beside it the ratio of positions read, which is what a
machine that is busy at either would reach: a GPU is not with so few. `see_ms` is the share of the eyes in a turn. Then
the same with 40 tokens of answer written after either. `--profile` tells what a turn spends its time on, the longest
first.
"""

import torch
from sizes import benchmark, build, finish, like, profiled, rounded, seconds
from torch import Tensor

from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.key_value_cache import KeyValueCache
from mmi_agent.models.mm_interleaved import MMInterleavedModel

_EARLIER, _TOKENS = 8, 40


class Page:
    """A growing document of turns."""

    def __init__(self, model: MMInterleavedModel) -> None:
        self.model = model
        self.cache: KeyValueCache = model.decoder.open_cache(capacity=1536)
        self.memory = PictureMemory()
        self.hidden_1TC = torch.empty(1, 0, model.config.decoder.hidden_size, **like(model))

    def read(self, pixels_PCHW: Tensor, *, answered: int) -> None:
        """Reads turns, each a picture and its tokens, in one piece; so many of them with their answer."""
        seen = self.model.see(pixels_PCHW)
        parts: list[Tensor] = []
        for number in range(len(seen)):
            start = self.cache.length + sum(part.shape[1] for part in parts) + 1
            self.memory.append(self.model.project(seen[[number]]), start=start)
            ids_1T = torch.arange(3, 3 + _TOKENS * (1 + (number < answered)), device=pixels_PCHW.device)[None]
            parts += [self.model.embed_picture(seen, number), self.model.embed(ids_1T)]
        self.hidden_1TC = self.model.decoder(torch.cat(parts, 1), cache=self.cache, pictures=self.memory)

    def write(self) -> None:
        """Writes an answer."""
        for _ in range(_TOKENS):
            ids_11 = self.model.decoder.logits(self.hidden_1TC[:, -1:]).argmax(-1)
            self.hidden_1TC = self.model.decoder(self.model.embed(ids_11), cache=self.cache, pictures=self.memory)

    def rewind(self, length: int) -> None:
        """Goes back to before the turn."""
        self.cache.rewind(length)
        self.memory.rewind(length)


@torch.inference_mode()
def main() -> None:
    parser = benchmark(__doc__, rounds=1)
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    model = build(options)
    side = model.config.vision.image_size
    pixels_PCHW = torch.rand(_EARLIER + 1, 3, side, side, **like(model))
    page = Page(model)
    page.read(pixels_PCHW[:_EARLIER], answered=_EARLIER)
    length = page.cache.length

    def turn() -> None:
        page.rewind(length)
        page.read(pixels_PCHW[_EARLIER:], answered=0)

    def everything() -> None:
        Page(model).read(pixels_PCHW, answered=_EARLIER)

    turn_s, everything_s = seconds(turn, options), seconds(everything, options)
    see_s = seconds(lambda: model.see(pixels_PCHW[_EARLIER:]), options)
    turn_read, everything_read = page.cache.length - length, page.cache.length
    write_s = seconds(page.write, options, warm_up=0)
    profile = {"profile": profiled(turn, options)} if options.profile else {}
    finish(
        options,
        positions={"turn": turn_read, "everything": everything_read, "ratio": rounded(everything_read / turn_read)},
        reading={
            "turn_ms": rounded(1e3 * turn_s),
            "see_ms": rounded(1e3 * see_s),
            "everything_ms": rounded(1e3 * everything_s),
            "ratio": rounded(everything_s / turn_s),
        },
        reading_and_writing={
            "write_ms": rounded(1e3 * write_s),
            "ratio": rounded((everything_s + write_s) / (turn_s + write_s)),
        },
        goal="reading: ratio at least 10",
        **profile,
    )


if __name__ == "__main__":
    main()
