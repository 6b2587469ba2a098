"""Loads the model that a command names, saying what takes long; options that such commands share."""

from importlib import import_module
from typing import TYPE_CHECKING, Annotated

import typer

from mmi_agent.errors import ConfigError, MissingDependencyError

if TYPE_CHECKING:
    from mmi_agent.inference.loading import MMInterleaved
    from mmi_agent.inference.sampling import Sampling

__all__ = [
    "Bits",
    "Device",
    "Dtype",
    "Guidance",
    "Model",
    "Offload",
    "Scheduler",
    "Steps",
    "Temperature",
    "TopP",
    "load_model",
    "need_model_extra",
    "parse_sampling",
]

_DTYPES = ("float32", "bfloat16", "float16")

Model = Annotated[
    str,
    typer.Option(
        "--preset", "--model", metavar="NAME|DIR", help="small, tiny, full, or a folder that mmi weights convert made."
    ),
]
Device = Annotated[
    str | None,
    typer.Option(metavar="cpu|cuda|...", help="Where the model runs.", show_default="cuda if there is one, else cpu"),
]
Dtype = Annotated[
    str | None,
    typer.Option(
        metavar="|".join(_DTYPES), help="Of the weights.", show_default="as stored; float32 for small and tiny"
    ),
]
Bits = Annotated[
    int | None,
    typer.Option(
        metavar="16|8|4",
        help="Of the language weights: 16 for speed on a CPU, fewer for a GPU that is too small otherwise.",
        show_default="as stored",
    ),
]
Offload = Annotated[bool, typer.Option("--offload", help="Keep the image decoder off the GPU while nothing is drawn.")]
Temperature = Annotated[float, typer.Option(metavar="T", help="0 takes the likeliest token; 1 draws by probability.")]
TopP = Annotated[
    float | None,
    typer.Option(metavar="P", help="Draw only among the likeliest that together have this probability."),
]
Steps = Annotated[int, typer.Option(metavar="N", help="Steps of a drawing.")]
Guidance = Annotated[float, typer.Option(metavar="G", help="How closely a drawing keeps to the text.")]
Scheduler = Annotated[
    str, typer.Option(metavar="dpm-solver|ddim|ddpm", help="ddpm is how the released code drew, in 30 steps.")
]


def need_model_extra(command: str) -> None:
    """Makes sure that the packages of the model are installed.

    Raises:
        MissingDependencyError: If one is not.
    """
    try:
        import_module("mmi_agent.inference.loading")
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"mmi {command} needs the package {error.name!r}: pip install 'mmi-agent[model]'"
        ) from error


def parse_sampling(temperature: float, top_p: float | None, *, beams: int = 1) -> "Sampling":
    """Says how tokens are chosen.

    Raises:
        ConfigError: If a value makes no sense, or does nothing beside the others.
    """
    from mmi_agent.inference.sampling import Sampling

    if top_p is not None and temperature == 0 and beams == 1:
        raise ConfigError(
            f"--top-p {top_p} does nothing at --temperature 0, which takes the likeliest: give another temperature, or "
            "leave --top-p out"
        )
    return Sampling(temperature=temperature, top_p=top_p, num_beams=beams)


def load_model(
    name: str,
    *,
    device: str | None,
    dtype: str | None,
    bits: int | None = None,
    draws: bool = True,
    offload: bool = False,
) -> "MMInterleaved":
    """Loads a model, with a spinner on stderr.

    Args:
        name: A preset or a folder.
        device: As torch names it; None takes a GPU where there is one.
        dtype: Of the weights; None as stored.
        bits: Of the weights in the language decoder's layers, 16, 8 or 4; None as stored.
        draws: Whether the image decoder is wanted.
        offload: Whether it stays on the CPU while nothing is drawn.

    Raises:
        ConfigError: If there is no such dtype or number of bits, or the device is not to be had.
    """
    import torch
    from rich.console import Console
    from rich.markup import escape

    from mmi_agent.inference.loading import MMInterleaved

    if dtype is not None and dtype not in _DTYPES:
        raise ConfigError(f"--dtype {dtype!r} is none of {', '.join(_DTYPES)}")
    if bits not in (None, 4, 8, 16):
        raise ConfigError(f"--bits {bits} is none of 16, 8 and 4")
    with Console(stderr=True).status(f"loading the model {escape(name)}") as status:
        return MMInterleaved.from_pretrained(
            name,
            device=device or ("cuda" if torch.cuda.is_available() else "cpu"),
            dtype=getattr(torch, dtype) if dtype else None,
            bits=bits,
            draws=draws,
            offload=offload,
            progress=status.update,
        )
