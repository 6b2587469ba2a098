"""MM-Interleaved as a LangChain chat model: it reads and writes text and pictures, and calls tools.

Answers are standard content blocks (`output_version` "v1"). A call is written under the schemas of the tools that were
bound, so it can always be parsed; in an answer there is one at most.
"""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, cast
from uuid import uuid4

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.exceptions import ContextOverflowError
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.language_models.chat_models import generate_from_stream
from langchain_core.language_models.model_profile import ModelProfile
from langchain_core.messages import AIMessage, BaseMessage
from langchain_core.output_parsers import BaseOutputParser, JsonOutputParser, PydanticOutputParser
from langchain_core.outputs import ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap, RunnablePassthrough
from langchain_core.runnables.config import run_in_executor
from langchain_core.tools import BaseTool
from langchain_core.utils.function_calling import convert_to_json_schema, convert_to_openai_tool
from langchain_core.utils.pydantic import is_basemodel_subclass
from langchain_protocol.protocol import MessagesData
from pydantic import BaseModel, ConfigDict, Field

from mmi_agent.errors import ConfigError, ShapeError, UnknownNameError
from mmi_agent.inference.drawing import DrawSettings
from mmi_agent.inference.grammar import CallSchema
from mmi_agent.inference.sampling import Sampling
from mmi_agent.integrations.answering import Answerer, Event, Question, answerer
from mmi_agent.integrations.messages import chat_turns
from mmi_agent.integrations.streaming import Telling, answer_chunks, answer_events
from mmi_agent.models.configs import PRESETS, preset
from mmi_agent.pictures import MemoryPictures, PictureStore

__all__ = ["ChatMMInterleaved"]

_IGNORED = ("strict", "parallel_tool_calls", "stream", "ls_structured_output_format")
_FORCED = ("any", "required", True)


class ChatMMInterleaved(BaseChatModel):
    """MM-Interleaved as a chat model.

    The model is loaded at the first answer and kept for the process. Every field can also be given with a call, as in
    `chat.invoke("Hello", temperature=1, seed=3)`.

    Attributes:
        model: A preset ("tiny", "small", "full"), or a folder that `mmi weights convert` made.
        weights: What `MMInterleaved.from_pretrained` takes.
        device: Where the model runs.
        temperature: 0 takes the likeliest token.
        top_k: Draw among so many likeliest tokens only.
        top_p: Draw among the likeliest that together have this probability only.
        min_p: Draw among those only that are at least this likely, relative to the likeliest.
        repetition_penalty: Above 1, against repetition.
        max_tokens: Of text and pictures together, and as many of a call or of JSON before they are brought to
            their end.
        stop: Strings that end the text.
        seed: The same seed gives the same answer.
        pictures: How many pictures an answer may hold. None leaves it to a model whose hand is trained.
        structure: The parts of the answer in order, as in `["text", "picture"]`, in place of `pictures`.
        drawing_steps: Steps of a drawing.
        guidance_scale: How far a drawing keeps to what was said.
        scheduler: "dpm-solver", "ddim" or "ddpm".
        look: Whether pictures in messages are shown to the model. None: where its eyes are trained; else it is told
            that there is a picture.
        store: Where pictures named by digest are; drawn ones are then put there and named so, too. None: pictures
            come and go as base64.
        timeout: Seconds after which an answer breaks off with `TimeoutError`.
        streaming: Whether `invoke` streams inside.
        max_retries: Of no meaning for a model in this process.
        api_key: Likewise.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True, extra="forbid")

    model: str = "small"
    weights: str | None = None
    device: str = "cpu"
    temperature: float = 0.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    repetition_penalty: float = 1.0
    max_tokens: int = Field(default=256, ge=1)
    stop: list[str] | None = None
    seed: int = 0
    pictures: int | None = None
    structure: list[Literal["text", "picture"]] | None = None
    drawing_steps: int = 12
    guidance_scale: float = 7.5
    scheduler: Literal["dpm-solver", "ddim", "ddpm"] = "dpm-solver"
    look: bool | None = None
    store: Any = Field(default=None, exclude=True)
    timeout: float | None = None
    streaming: bool = False
    max_retries: int = Field(default=0, exclude=True)
    api_key: Any = Field(default=None, exclude=True)

    @property
    def _llm_type(self) -> str:
        return "mmi-agent-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _OPTIONS if name not in ("store", "streaming")}

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """Whether it goes to JSON and back, without its store."""
        return True

    def _resolve_model_profile(self) -> ModelProfile | None:
        window = preset(self.model).decoder.max_positions if self.model in PRESETS else None
        looks = self.look if self.look is not None else self.model != "small"
        profile = ModelProfile(
            name=f"MM-Interleaved {self.model}",
            open_weights=True,
            max_output_tokens=self.max_tokens,
            text_inputs=True,
            image_inputs=looks,
            image_url_inputs=False,
            image_tool_message=looks,
            pdf_inputs=False,
            audio_inputs=False,
            video_inputs=False,
            text_outputs=True,
            image_outputs=self.pictures != 0 and (self.model != "small" or bool(self.pictures or self.structure)),
            reasoning_output=False,
            tool_calling=True,
            tool_choice=True,
            tool_call_streaming=True,
            structured_output=True,
            temperature=True,
        )
        return profile if window is None else {**profile, "max_input_tokens": window}

    # ---- answers

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        return generate_from_stream(self._stream(messages, stop, **kwargs))

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        answer, telling = self._answer(messages, stop, kwargs)
        for chunk in answer_chunks(answer, telling):
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    def _stream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[MessagesData]:
        """What LangChain calls where events of protocol v3 are wanted."""
        answer, telling = self._answer(messages, stop, kwargs)
        run_id = run_manager.run_id if run_manager else uuid4()
        yield from answer_events(answer, telling, message_id=f"lc_run--{run_id}")

    async def _astream_chat_model_events(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[MessagesData]:
        """Likewise, without holding up the event loop."""
        manager = run_manager.get_sync() if run_manager else None
        events = self._stream_chat_model_events(messages, stop, manager, **kwargs)
        while (event := await run_in_executor(None, next, events, None)) is not None:
            yield event

    def _answer(
        self, messages: Sequence[BaseMessage], stop: list[str] | None, options: Mapping[str, Any]
    ) -> tuple[Iterator[Event], Telling]:
        chosen, bound = self._with_options(options)
        question, model = chosen._question(messages, stop, **bound)
        telling = Telling(model=chosen.model, store=question.store, inline=chosen.store is None)
        return _told_in_langchain(model, question), telling

    def _with_options(self, options: Mapping[str, Any]) -> tuple["ChatMMInterleaved", dict[str, Any]]:
        """This model with the options of a call, and what was bound to the call."""
        own = {name: value for name, value in options.items() if name in _OPTIONS}
        bound = {name: options[name] for name in ("tools", "tool_choice", "response_format") if name in options}
        rest = options.keys() - own.keys() - bound.keys() - {*_IGNORED}
        if rest:
            raise UnknownNameError.among("option", min(rest), _OPTIONS)
        if not own:
            return self, bound
        fields = {name: getattr(self, name) for name in _OPTIONS} | own
        return type(self)(**fields), bound

    def _question(
        self,
        messages: Sequence[BaseMessage],
        stop: list[str] | None,
        tools: Sequence[Mapping[str, Any]] = (),
        tool_choice: Any = None,
        response_format: Any = None,
    ) -> tuple[Question, Answerer]:
        draws = bool(self.structure and "picture" in self.structure)
        model = self._loaded(draws)
        look = model.loaded.sees if self.look is None else self.look
        store: PictureStore = self.store or MemoryPictures()
        calls, must_call = _chosen(tools, tool_choice)
        schema = _answer_schema(response_format)
        notes = [*_tool_notes(tools, calls), *_schema_notes(schema)]
        question = Question(
            turns=chat_turns(messages, store, notes=notes),
            store=store,
            calls=calls,
            must_call=must_call,
            schema=schema,
            max_tokens=self.max_tokens,
            sampling=Sampling(
                temperature=self.temperature,
                top_k=self.top_k,
                top_p=self.top_p,
                min_p=self.min_p,
                repetition_penalty=self.repetition_penalty,
            ),
            seed=self.seed,
            stop=[*(stop if stop is not None else self.stop or [])],
            pictures=self.pictures if self.pictures is not None or model.loaded.sees else 0,
            structure=self.structure,
            drawing=DrawSettings(
                steps=self.drawing_steps, guidance_scale=self.guidance_scale, scheduler=self.scheduler
            ),
            look=look,
            timeout_s=self.timeout,
        )
        return question, model

    def _loaded(self, draws: bool) -> Answerer:
        wants_pictures = draws or (self.model != "small" if self.pictures is None else self.pictures > 0)
        return answerer(self.model, weights=self.weights, device=self.device, draws=wants_pictures)

    # ---- tools and forms

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: Any = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """The model with tools that it may call.

        Args:
            tools: What LangChain takes for tools.
            tool_choice: None or "auto" leave it to the model; "any" and "required" want a call, a tool's name a call
                of that tool; "none" wants none.
            **kwargs: Options of the call.

        Raises:
            UnknownNameError: If the choice is no tool.
        """
        described = [convert_to_openai_tool(tool) for tool in tools]
        _chosen(described, tool_choice)
        return self.bind(tools=described, tool_choice=tool_choice, **kwargs)

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        include_raw: bool = False,
        method: Literal["json_schema", "function_calling", "json_mode"] = "json_schema",
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, dict[str, Any] | BaseModel]:
        """The model with answers that follow a schema.

        Args:
            schema: A pydantic model, a `TypedDict` or a JSON schema.
            include_raw: Whether the message comes beside what was parsed.
            method: "function_calling" writes a call; the others write the JSON, both under the schema's grammar.
            **kwargs: `strict` is accepted: the schema always holds.

        Raises:
            ConfigError: If there is no such method.
        """
        kwargs.pop("strict", None)
        if method == "function_calling":
            return super().with_structured_output(schema, include_raw=include_raw, **kwargs)
        if method not in ("json_schema", "json_mode"):
            raise ConfigError(f"method {method!r} is none of json_schema, function_calling and json_mode")
        chat = self.bind(
            response_format={"type": "json_schema", "json_schema": {"schema": convert_to_json_schema(schema)}},
            ls_structured_output_format={"kwargs": {"method": method}, "schema": schema},
            **kwargs,
        )
        parser: BaseOutputParser[Any] = (
            PydanticOutputParser(pydantic_object=cast("type[BaseModel]", schema))
            if isinstance(schema, type) and is_basemodel_subclass(schema)
            else JsonOutputParser()
        )
        return _with_raw(chat, parser) if include_raw else chat | parser


_OPTIONS = tuple(name for name in ChatMMInterleaved.model_fields if name not in BaseChatModel.model_fields)


def _told_in_langchain(model: Answerer, question: Question) -> Iterator[Event]:
    """The answer; a window that is full is LangChain's own error, which its middleware knows."""
    try:
        yield from model.answer(question)
    except ShapeError as error:
        raise ContextOverflowError(str(error)) from error


def _with_raw(chat: Runnable[Any, AIMessage], parser: BaseOutputParser[Any]) -> Runnable[Any, Any]:
    def parsed(given: dict[str, Any]) -> Any:
        return parser.invoke(given["raw"])

    tried = RunnablePassthrough.assign(parsed=RunnableLambda(parsed), parsing_error=lambda _: None)
    failed = RunnablePassthrough.assign(parsed=lambda _: None)
    return RunnableMap(raw=chat) | tried.with_fallbacks([failed], exception_key="parsing_error")


def _chosen(tools: Sequence[Mapping[str, Any]], choice: Any) -> tuple[list[CallSchema], bool]:
    """What may be called, and whether a call must come."""
    functions = [tool["function"] for tool in tools]
    name = _name_of(cast("Mapping[str, Any]", choice)) if isinstance(choice, Mapping) else choice
    if name == "none":
        return [], False
    named = [function for function in functions if function["name"] == name]
    if name in _FORCED or name in (None, "auto", False) or not isinstance(name, str):
        named = functions
    elif not named:
        raise UnknownNameError.among("tool", name, [function["name"] for function in functions])
    calls = [CallSchema(f["name"], f.get("parameters") or {"type": "object", "properties": {}}) for f in named]
    return calls, bool(calls) and name not in (None, "auto", False)


def _name_of(choice: Mapping[str, Any]) -> Any:
    """The tool that a choice in the form of OpenAI names."""
    return choice.get("function", choice).get("name")


def _answer_schema(response_format: Any) -> Mapping[str, Any] | None:
    if response_format is None:
        return None
    if isinstance(response_format, dict) and "json_schema" in response_format:
        return cast("dict[str, Any]", response_format)["json_schema"]["schema"]
    raise ConfigError(f"response_format is {response_format!r:.80}: expected a dict with 'json_schema'")


_HOW_TO_CALL = 'Copy the arguments from what the person says. To call one, write {"tool":name,"arguments":{...}}.'


def _tool_notes(tools: Sequence[Mapping[str, Any]], calls: Sequence[CallSchema]) -> list[str]:
    """How to call, and the tools; a small model copies arguments better where it reads their types."""
    told = {tool["function"]["name"]: " ".join(tool["function"].get("description", "").split()) for tool in tools}
    lines = [f"{call.name}({', '.join(_fields(call))}): {told[call.name]}" for call in calls]
    return [_HOW_TO_CALL, "Tools:", *lines] if calls else []


def _fields(call: CallSchema) -> list[str]:
    described = call.parameters.get("properties", {})
    return [f"{name}: {field['type']}" if "type" in field else name for name, field in described.items()]


def _schema_notes(schema: Mapping[str, Any] | None) -> list[str]:
    """What form the answer has."""
    if schema is None:
        return []
    fields = schema.get("properties", {})
    return ["Answer in JSON, with:", *(f"{name}: {field.get('description', '')}" for name, field in fields.items())]
