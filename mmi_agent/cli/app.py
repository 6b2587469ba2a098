"""The command `mmi`, put together. A command imports what is heavy when it is called: `mmi --help` answers at once."""

import typer

from mmi_agent.cli.autoencoder import train_autoencoder
from mmi_agent.cli.building import build_building
from mmi_agent.cli.chat import chat
from mmi_agent.cli.data import check_data, show_data, write_data
from mmi_agent.cli.demos import collect_demos, list_demos
from mmi_agent.cli.doctor import doctor
from mmi_agent.cli.environments import list_environments, start_world
from mmi_agent.cli.errors import guarded
from mmi_agent.cli.evaluate import evaluate
from mmi_agent.cli.generate import generate
from mmi_agent.cli.memory import (
    add_item,
    edit_item,
    export_items,
    forget_items,
    import_items,
    learn_runs,
    list_items,
    rebuild_memory,
    recall_items,
    show_item,
)
from mmi_agent.cli.metrics import caption, clip, fid, miou, refer, visdial, vqa
from mmi_agent.cli.minecraft import convert_blueprint, plan_building, show_progress
from mmi_agent.cli.parity import parity
from mmi_agent.cli.resume import resume
from mmi_agent.cli.run import run
from mmi_agent.cli.screens import evaluate_screens
from mmi_agent.cli.train import average, export_run, plot_runs, train
from mmi_agent.cli.view import view
from mmi_agent.cli.weights import convert_weights, fetch_weights, verify_weights

__all__ = ["app"]

app = typer.Typer(
    name="mmi",
    help="Put a model that reads pictures and text in charge of real things, and see what it does.",
    epilog="Begin with: mmi doctor, then: mmi run --env gui/miniwob:click-test",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
_data = typer.Typer(help="What there is to learn from: show it, check it.", no_args_is_help=True, rich_markup_mode=None)
_demos = typer.Typer(
    help="Experts that show how tasks are done, to learn from.", no_args_is_help=True, rich_markup_mode=None
)
_env = typer.Typer(help="The worlds that a policy can be put into.", no_args_is_help=True, rich_markup_mode=None)
_eval = typer.Typer(rich_markup_mode=None)
_memory = typer.Typer(
    help="What the agent remembers: see it, correct it, forget it.", no_args_is_help=True, rich_markup_mode=None
)
_metrics = typer.Typer(
    help="Score captions, answers, boxes and drawn pictures, as papers do.", no_args_is_help=True, rich_markup_mode=None
)
_minecraft = typer.Typer(
    help="Plan buildings for Minecraft, and build them.", no_args_is_help=True, rich_markup_mode=None
)
_train = typer.Typer(rich_markup_mode=None)
_weights = typer.Typer(help="The model's weights: fetch, convert, verify.", no_args_is_help=True, rich_markup_mode=None)

app.command("generate")(guarded(generate))
app.command("chat")(guarded(chat))
app.command("run")(guarded(run))
app.command("resume")(guarded(resume))
app.command("view")(guarded(view))
app.add_typer(_eval, name="eval")
_eval.callback(invoke_without_command=True)(guarded(evaluate))
_eval.command("screens")(guarded(evaluate_screens))
app.add_typer(_metrics, name="metrics")
_metrics.command("caption")(guarded(caption))
_metrics.command("vqa")(guarded(vqa))
_metrics.command("refer")(guarded(refer))
_metrics.command("visdial")(guarded(visdial))
_metrics.command("fid")(guarded(fid))
_metrics.command("clip")(guarded(clip))
_metrics.command("miou")(guarded(miou))
app.command("parity")(guarded(parity))
app.add_typer(_train, name="train")
_train.callback(invoke_without_command=True)(guarded(train))
_train.command("autoencoder")(guarded(train_autoencoder))
_train.command("plot")(guarded(plot_runs))
_train.command("export")(guarded(export_run))
_train.command("average")(guarded(average))
app.add_typer(_data, name="data")
_data.command("show")(guarded(show_data))
_data.command("check")(guarded(check_data))
_data.command("write")(guarded(write_data))
app.add_typer(_demos, name="demos")
_demos.command("collect")(guarded(collect_demos))
_demos.command("list")(guarded(list_demos))
app.add_typer(_env, name="env")
_env.command("list")(guarded(list_environments))
_env.command("up")(guarded(start_world))
app.add_typer(_memory, name="memory")
_memory.command("list")(guarded(list_items))
_memory.command("show")(guarded(show_item))
_memory.command("recall")(guarded(recall_items))
_memory.command("add")(guarded(add_item))
_memory.command("edit")(guarded(edit_item))
_memory.command("forget")(guarded(forget_items))
_memory.command("learn")(guarded(learn_runs))
_memory.command("export")(guarded(export_items))
_memory.command("import")(guarded(import_items))
_memory.command("rebuild")(guarded(rebuild_memory))
app.add_typer(_minecraft, name="minecraft")
_minecraft.command("plan")(guarded(plan_building))
_minecraft.command("convert")(guarded(convert_blueprint))
_minecraft.command("build")(guarded(build_building))
_minecraft.command("progress")(guarded(show_progress))
app.add_typer(_weights, name="weights")
_weights.command("fetch")(guarded(fetch_weights))
_weights.command("convert")(guarded(convert_weights))
_weights.command("verify")(guarded(verify_weights))
app.command("doctor")(guarded(doctor))


@app.callback()
def _mmi() -> None:
    pass
