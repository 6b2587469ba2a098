"""Samples for `tiny`, made on the spot, and a supply of them."""

import hashlib
from collections.abc import Generator
from io import BytesIO
from itertools import count

from PIL import Image

from mmi_agent.data.encoding import encode_sample
from mmi_agent.data.packing import Batch, collate, pack
from mmi_agent.data.sample import Sample
from mmi_agent.inference.prompts import Part
from mmi_agent.inference.tokenizer import Tokenizer
from mmi_agent.models.configs import tiny
from mmi_agent.pictures import MemoryPictures
from mmi_agent.training.supply import Portion

CONFIG = tiny()
TOKENIZER = Tokenizer.byte_level()


def sample(number: int, *, pictures: bool = True) -> Sample:
    store = MemoryPictures()
    parts = [Part(f"the colour of {number} is "), Part("red blue"[4 * (number % 2) :][:4], learnt=True)]
    if pictures:
        buffer = BytesIO()
        Image.new("RGB", (40, 40), ("red", "blue")[number % 2]).save(buffer, "PNG")
        parts = [*parts, Part(store.put(buffer.getvalue()), learnt=True), Part(" done", learnt=True)]
    return Sample(parts=tuple(parts), pictures=store, source=f"toy: {number}")


def batch(numbers, *, pictures: bool = True, max_positions: int = 128) -> Batch:
    encoded = [
        encode_sample(sample(number, pictures=pictures), TOKENIZER, CONFIG, max_positions=max_positions)
        for number in numbers
    ]
    return collate(pack(encoded, max_positions=max_positions), CONFIG, draws=True)


class ToySupply:
    """Steps of `batches` batches of samples `0..num_samples`, round and round."""

    def __init__(self, *, num_samples: int = 8, batches: int = 2, pictures: bool = True, name: str = "toy") -> None:
        self.num_samples, self.batches, self.pictures = num_samples, batches, pictures
        self.fingerprint = hashlib.sha256(f"{name} {num_samples} {batches}".encode()).hexdigest()

    def portions(self, step: int) -> Generator[Portion]:
        yield from map(self.portion, count(step))

    def portion(self, step: int) -> Portion:
        numbers = [(step + offset) % self.num_samples for offset in range(self.num_samples)]
        each = self.num_samples // self.batches
        made = [
            batch(numbers[begin : begin + each], pictures=self.pictures)
            for begin in range(0, each * self.batches, each)
        ]
        return Portion(tuple(made))
