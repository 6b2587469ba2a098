"""How commands fail: in one line on stderr, unless the whole trace is asked for."""

import inspect
import os
import re
import sys
import traceback
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any, NoReturn, TextIO

import typer

from mmi_agent.cli.text import printable
from mmi_agent.errors import MMIError

__all__ = ["INTERRUPTED", "complain", "guarded", "hush"]

INTERRUPTED = 130
"""What a process ended by Ctrl-C exits with: 128 and the number of SIGINT."""

_AS_WRITTEN = re.compile(r"\n(Examples:|Files:)\n")
_Debug = Annotated[bool, typer.Option("--debug", help="Show the whole trace of an error.")]


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the option `--debug`, and turns whatever it raises into one line and an exit code.

    Exit codes: 1 for an error, 2 for a command line that cannot be parsed, 130 for Ctrl-C.
    """

    @wraps(command)
    def run(*args: Any, debug: bool, **kwargs: Any) -> None:
        try:
            command(*args, **kwargs)
            if sys.stdout:  # nobody may be there to read
                sys.stdout.flush()
        except KeyboardInterrupt:
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            hush(sys.stdout)
        except typer.Exit:
            raise
        except MMIError as error:
            _fail(str(error), debug)
        except OSError as error:
            _fail(f"{error.filename}: {error.strerror}" if error.filename else error.strerror or str(error), debug)
        except Exception as error:
            hint = "" if debug else "; --debug shows where"
            _fail(f"this should not happen: {type(error).__name__}: {error}{hint}", debug)

    signature = inspect.signature(command)
    option = inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=_Debug)
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), option])  # type: ignore[attr-defined]
    run.__doc__ = _AS_WRITTEN.sub("\n\b\n\\1\n", inspect.getdoc(command) or "")  # \b: not to be refilled
    run.__annotations__ = {**command.__annotations__, "debug": _Debug}
    return run


def hush(stream: TextIO) -> None:
    """Lets all that is still to be shown there go nowhere: whoever read it has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def complain(message: str) -> None:
    """Says in one line on stderr what went wrong."""
    print(f"error: {printable(' '.join(message.split()))}", file=sys.stderr, flush=True)


def _fail(message: str, debug: bool) -> NoReturn:
    if debug:
        traceback.print_exc()
    complain(message)
    raise typer.Exit(1)
