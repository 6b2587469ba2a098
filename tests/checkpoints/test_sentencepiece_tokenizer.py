import random
from pathlib import Path

import pytest
from sentencepiece import SentencePieceProcessor
from toy_checkpoint import SENTENCES, train_pieces

from mmi_agent.checkpoints.sentencepiece_tokenizer import MARKERS, read_tokenizer
from mmi_agent.errors import CheckpointError
from mmi_agent.inference.tokenizer import Tokenizer

IDS = tuple(zip(MARKERS, (400, 401), strict=True))


@pytest.fixture(scope="module")
def pieces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_pieces(tmp_path_factory.mktemp("pieces") / "tokenizer.model", vocab_size=400)


def test_ids_are_those_of_sentencepiece(pieces: Path) -> None:
    reference = SentencePieceProcessor(model_file=str(pieces))
    tokenizer = Tokenizer(read_tokenizer(pieces, IDS), end_of_turn="</s>")
    assert tokenizer.vocab_size == 402
    assert (tokenizer.special("<s>"), tokenizer.end_of_turn) == (1, 2)
    draw = random.Random(0)
    alphabet = "the quick fox <ref>0123</ref>  \n\tüé日🙂▁"
    texts = ["".join(draw.choices(alphabet, k=draw.randrange(40))) for _ in range(500)] + SENTENCES[::50]
    for text in texts:
        ids = tokenizer.encode(text)
        assert ids == reference.encode(text), text
        assert tokenizer.decode(ids) == (" " + text if text else "").replace("▁", " ")  # the family's own marks


def test_what_is_written_is_read_again(pieces: Path, tmp_path: Path) -> None:
    tokenizer = read_tokenizer(pieces, IDS)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    again = read_tokenizer(tmp_path / "tokenizer.json", IDS)
    assert again.get_vocab() == tokenizer.get_vocab()
    with pytest.raises(CheckpointError, match=r"tokenizer\.json gives <\|beginofimage\|> the id 400, expected 32000"):
        read_tokenizer(tmp_path / "tokenizer.json", (("<|beginofimage|>", 32000),))


def test_other_files_are_refused(tmp_path: Path) -> None:
    words = ["".join(random.Random(seed).choices("aeiourtns", k=4)) for seed in range(90)]
    sentences = [" ".join(random.Random(seed).choices(words, k=9)) for seed in range(300)]
    unigram = train_pieces(tmp_path / "unigram.model", vocab_size=361, model_type="unigram", sentences=sentences)
    with pytest.raises(CheckpointError, match=r"unigram\.model is of another kind: expected byte-pair encoding"):
        read_tokenizer(unigram, IDS)
    unigram.write_bytes(unigram.read_bytes()[:999])
    with pytest.raises(CheckpointError, match=r"unigram\.model is not a sentencepiece model"):
        read_tokenizer(unigram, IDS)
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"tokenizer\.json is not a tokenizer"):
        read_tokenizer(tmp_path / "tokenizer.json", IDS)
