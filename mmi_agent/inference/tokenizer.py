"""Text to token ids and back, for every preset; knows nothing about models or chat.

Text is data: "<|im_end|>" on a web page becomes the ids of its characters, never the marker that ends a turn. The
markers are only to be had by name, through `Tokenizer.special`.
"""

import codecs
from collections.abc import Iterable
from functools import cached_property

import tokenizers
from llguidance import LLTokenizer, TokenizerWrapper
from tokenizers import decoders, models, pre_tokenizers

from mmi_agent.errors import ConfigError, UnknownNameError

__all__ = ["END_OF_TEXT", "END_OF_TURN", "START_OF_TURN", "StreamDecoder", "Tokenizer"]

END_OF_TEXT, START_OF_TURN, END_OF_TURN = "<|endoftext|>", "<|im_start|>", "<|im_end|>"


def _byte_of_character() -> dict[str, int]:
    """The alphabet of byte-level vocabularies: printable bytes stand for themselves, others for U+0100 upwards."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = (byte for byte in range(256) if byte not in printable)
    return {chr(byte): byte for byte in printable} | {chr(0x100 + i): byte for i, byte in enumerate(others)}


_BYTE_OF_CHARACTER = _byte_of_character()


class Tokenizer:
    """A vocabulary whose tokens are bytes, or pieces of text with a fallback to bytes, as of the Llama family.

    Args:
        backend: What `tokenizers` loaded; it is copied.
        end_of_turn: The name of the token that ends what the model writes.

    Raises:
        ConfigError: If the backend has no such token.
    """

    def __init__(self, backend: tokenizers.Tokenizer, *, end_of_turn: str = END_OF_TURN) -> None:
        self._backend = tokenizers.Tokenizer.from_str(backend.to_str())
        self._backend.no_padding()
        self._backend.no_truncation()
        self._backend.encode_special_tokens = True  # markers inside a text are text
        self._special_ids = {
            token.content: token_id for token_id, token in self._backend.get_added_tokens_decoder().items()
        }
        self._names_of_special = {token_id: name for name, token_id in self._special_ids.items()}
        self._tokens_are_bytes = isinstance(self._backend.decoder, decoders.ByteLevel)
        if end_of_turn not in self._special_ids:
            raise ConfigError(
                f"the tokenizer has no token {end_of_turn!r}: expected one of {sorted(self._special_ids)}"
            )
        self.end_of_turn = self._special_ids[end_of_turn]
        self.vocab_size = self._backend.get_vocab_size(with_added_tokens=True)

    @classmethod
    def byte_level(cls) -> "Tokenizer":
        """A tokenizer that needs no file: three markers, and a token for every byte (259 ids)."""
        markers = [END_OF_TEXT, START_OF_TURN, END_OF_TURN]
        alphabet = sorted(_BYTE_OF_CHARACTER, key=_BYTE_OF_CHARACTER.__getitem__)
        vocabulary = {token: token_id for token_id, token in enumerate(markers + alphabet)}
        backend = tokenizers.Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
        backend.decoder = decoders.ByteLevel()
        backend.add_special_tokens(markers)  # pyright: ignore[reportUnknownMemberType]
        return cls(backend)

    def special(self, name: str) -> int:
        """The id of a marker, as in `special("<|im_start|>")`.

        Raises:
            UnknownNameError: If the vocabulary has none of that name.
        """
        try:
            return self._special_ids[name]
        except KeyError:
            raise UnknownNameError.among("special token", name, self._special_ids) from None

    @property
    def special_ids(self) -> frozenset[int]:
        """The ids of all markers."""
        return frozenset(self._names_of_special)

    def encode(self, text: str) -> list[int]:
        """The ids of a text, never a marker's; half characters (lone surrogates) become U+FFFD."""
        whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return self._backend.encode(whole, add_special_tokens=False).ids

    def decode(self, ids: Iterable[int], *, keep_special: bool = False) -> str:
        """The text of some ids; bytes that are no UTF-8 become U+FFFD.

        Args:
            ids: Ids of this vocabulary; others, such as a model's picture ids, stand for no text.
            keep_special: Write markers by name instead of leaving them out.
        """
        return b"".join(self.token_bytes(i, keep_special=keep_special) for i in ids).decode("utf-8", "replace")

    def stream(self) -> "StreamDecoder":
        """A decoder to be fed ids one by one."""
        return StreamDecoder(self)

    def token_bytes(self, token_id: int, *, keep_special: bool = False) -> bytes:
        """What one token stands for: maybe a part of a character, nothing for markers and ids of no token."""
        if (name := self._names_of_special.get(token_id)) is not None:
            return name.encode() if keep_special else b""
        token = self._backend.id_to_token(token_id)
        if token is None:
            return b""
        if self._tokens_are_bytes:
            return bytes(_BYTE_OF_CHARACTER[character] for character in token)
        if len(token) == len("<0x0A>") and token.startswith("<0x"):
            return bytes.fromhex(token[3:5])
        return token.replace("▁", " ").encode()

    @cached_property
    def id_of_byte(self) -> dict[int, int]:
        """The token of each byte that has one of its own."""
        pieces = ((i, self.token_bytes(i)) for i in range(self.vocab_size))
        return {piece[0]: i for i, piece in pieces if len(piece) == 1}

    @cached_property
    def constraints(self) -> LLTokenizer:
        """The vocabulary as `llguidance` wants it; made once, in a quarter of a second for 49,152 tokens."""
        return LLTokenizer(TokenizerWrapper(_Vocabulary(self)))


class _Vocabulary:
    """What `llguidance` asks of a tokenizer.

    It could read the file itself, but then forced text that holds a marker's name would be forced as the marker.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.eos_token_id = tokenizer.end_of_turn
        self.bos_token_id = None
        self.special_token_ids = sorted(tokenizer.special_ids)
        self.tokens = [tokenizer.token_bytes(i, keep_special=True) for i in range(tokenizer.vocab_size)]
        self._tokenizer = tokenizer

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text)


class StreamDecoder:
    """Turns ids into text as they come, holding back characters whose bytes are not all there."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._bytes = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, *ids: int) -> str:
        """Takes ids and returns the text that they complete, maybe none."""
        return self._bytes.decode(b"".join(self._tokenizer.token_bytes(i) for i in ids))

    def close(self) -> str:
        """Returns what was held back: U+FFFD if the last character was cut."""
        return self._bytes.decode(b"", final=True)
