"""Searching for likely texts with several beams, through the generation loop of `transformers`.

That loop sees a model whose prompt was read elsewhere: it is handed one start id, which stands for everything read and
is never fed to the decoder. Imported only where a search is asked for, since `transformers` takes seconds to load.
"""

# B beams, C width of the decoder, V vocabulary

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers import GenerationConfig, GenerationMixin, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from mmi_agent.models.feature_synchronizer import PictureMemory
from mmi_agent.models.key_value_cache import KeyValueCache
from mmi_agent.models.mm_interleaved import MMInterleavedModel

__all__ = ["ReadState", "read", "search"]


class ReadState(NamedTuple):
    """What is left of reading one document: enough to go on."""

    hidden: Tensor
    """After the last token, shape (C,)."""
    cache: KeyValueCache
    """Of one row."""
    pictures: PictureMemory | None
    """Those that later tokens may look at."""


@torch.inference_mode()
def read(model: MMInterleavedModel, ids_1T: Tensor, pixels_PCHW: Tensor | None = None) -> ReadState:
    """Reads one row of text and pictures, as `MMInterleavedModel.forward` does, and keeps what is needed to go on.

    Raises:
        ShapeError: If there are more or fewer pictures than places for them, or they have a wrong size.
    """
    batch = model.merge(ids_1T, None if pixels_PCHW is None else model.see(pixels_PCHW))
    cache = model.decoder.open_cache(capacity=ids_1T.shape[1])
    hidden_1TC = model.decoder(batch.embeddings, cache=cache, pictures=batch.pictures, visible_BTI=batch.visible)
    pictures = None
    if batch.pictures is not None and batch.visible is not None:
        seen_I = batch.visible[0, -1]  # later tokens see what the last one sees
        values = [value[:, seen_I] for value in batch.pictures.values]
        pictures = PictureMemory(values, starts=[0] * int(seen_I.sum()))
    return ReadState(hidden_1TC[0, -1], cache, pictures)


@torch.inference_mode()
def search(
    model: MMInterleavedModel,
    state: ReadState,
    *,
    ends: Sequence[int],
    max_tokens: int,
    min_tokens: int = 0,
    num_beams: int = 1,
    length_penalty: float = 1.0,
    repetition_penalty: float = 1.0,
    never: Sequence[int] = (),
) -> list[int]:
    """Finds a likely continuation: the likeliest token each time for one beam, else the best of several beams.

    The conventions are those that the released model was measured with (`transformers` 4.31): the start id counts for
    the repetition penalty, for `min_tokens` and for the length of a text that reached `max_tokens`; a search of
    several beams ends as soon as the candidate that is likeliest now, ended or not, could not beat the worst of
    `num_beams` ended ones.

    Args:
        model: In evaluation mode.
        state: What was read; it is left as it is.
        ends: Ids that end a text. With several beams, the first stands for whichever it was.
        max_tokens: No more than so many, the end included.
        min_tokens: No end before so many, counting the start id.
        num_beams: Texts kept side by side.
        length_penalty: Exponent of the length by which the log probability of a text is divided; more favours longer
            texts, less than 0 shorter ones.
        repetition_penalty: Divides positive and multiplies negative scores of ids that were written.
        never: Ids that must not be written.

    Returns:
        What was written, with the id that ended it if one did.

    Raises:
        ShapeError: If the text does not fit the model's window.
    """
    searcher: Any = _Searcher(model, state)
    bos, forced_end = model.config.begin_of_text, num_beams > 1
    settings = GenerationConfig(
        bos_token_id=bos,
        pad_token_id=ends[0],
        eos_token_id=list(ends),
        # One more step, in which every beam ends: it divides texts without an end by their length, start included.
        max_new_tokens=max_tokens + forced_end,
        forced_eos_token_id=ends[0] if forced_end else None,
        min_length=min_tokens,
        num_beams=num_beams,
        length_penalty=length_penalty,
        repetition_penalty=repetition_penalty,
        suppress_tokens=list(never) or None,
        do_sample=False,
        use_cache=True,
    )
    beams = _Beams(state.cache.fork(num_beams, capacity=state.cache.length + max_tokens))
    start_11 = torch.tensor([[bos]], device=state.hidden.device)
    ids: list[int] = searcher.generate(start_11, generation_config=settings, past_key_values=beams)[0, 1:].tolist()
    if num_beams > 1:
        ids = [ends[0] if token in ends else token for token in ids[:max_tokens]]
    return ids


# The library's types are loose, and it calls what is overridden by keywords alone.
_Library: Any = type("_Library", (PreTrainedModel, GenerationMixin), {})


class _Beams:
    """Our cache as the generation loop wants it."""

    is_compileable = False

    def __init__(self, cache: KeyValueCache) -> None:
        self.cache = cache

    def get_seq_length(self) -> int:
        """Tokens of the loop's own sequence that were fed: the start id is not one of them."""
        return 0

    def reorder_cache(self, rows_B: Tensor) -> None:
        """Goes on with these beams."""
        self.cache.reorder(rows_B)


class _Searcher(_Library):
    """Our decoder as the generation loop wants it.

    Two steps of the loop's beam search are overridden so that it ends when that of `transformers` 4.31 did, which
    compared with the likeliest candidate whether or not it had ended, and counted the start id in its length.
    """

    config_class = PretrainedConfig
    main_input_name = "input_ids"

    def __init__(self, model: MMInterleavedModel, state: ReadState) -> None:
        config: Any = PretrainedConfig
        library: Any = super()
        library.__init__(config(vocab_size=model.config.decoder.num_tokens))
        self.generation_config = GenerationConfig()
        self._model = [model]  # in a list: not a submodule
        self._state = state
        self._best_score_11: Tensor | None = None

    @property
    def device(self) -> torch.device:
        """Of the model."""
        return self._state.hidden.device

    def prepare_inputs_for_generation(self, input_ids: Tensor, **kwargs: Any) -> dict[str, Any]:
        """Selects what `forward` reads."""
        return {"input_ids": input_ids, "past_key_values": kwargs["past_key_values"]}

    def forward(self, input_ids: Tensor, past_key_values: _Beams, **_: Any) -> CausalLMOutput:
        """Reads the latest token of each beam; of the start id it knows already what comes after it."""
        (model,), state = self._model, self._state
        if input_ids.shape[1] == 1:
            hidden_B1C = state.hidden.expand(len(input_ids), 1, -1)
        else:
            hidden_B1C = model.decoder(
                model.embed(input_ids[:, -1:]), cache=past_key_values.cache, pictures=state.pictures
            )
        return CausalLMOutput(logits=model.decoder.logits(hidden_B1C))

    def _get_top_k_continuations(self, **kwargs: Any) -> tuple[Tensor, Tensor, Tensor]:
        library: Any = super()
        found: tuple[Tensor, Tensor, Tensor] = library._get_top_k_continuations(**kwargs)
        self._best_score_11 = found[0][:, :1]
        return found

    def _check_early_stop_heuristic(self, **kwargs: Any) -> Tensor:
        then = {"running_beam_scores": self._best_score_11, "decoder_prompt_len": 0}
        library: Any = super()
        return library._check_early_stop_heuristic(**(kwargs | then))
