"""The loop of training: batches in; weights, a log and checkpoints out.

A run is decided by its data, its recipe, its seed and its first weights. Killed and started again, it goes on from the
latest checkpoint along the same curve; how many processes share its rows changes nothing but the speed.
"""

import hashlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import asdict, dataclass
from itertools import count as count_from
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from mmi_agent.data.packing import Batch
from mmi_agent.errors import CheckpointError, ConfigError
from mmi_agent.folder_lock import alone_in
from mmi_agent.models.mm_interleaved import MMInterleavedModel
from mmi_agent.training.checkpoint import Counters, RunState, latest, load, save
from mmi_agent.training.held_back import HeldBack, judge
from mmi_agent.training.log import Log
from mmi_agent.training.objective import (
    Costs,
    Counts,
    Objective,
    checkpoint_layers,
    compile_layers,
    count,
    draw_noise,
    share,
)
from mmi_agent.training.parameters import Learners, find_learners, make_optimizer, prepare, saved_name
from mmi_agent.training.processes import Processes, copy_into, join, whole
from mmi_agent.training.recipes import Recipe
from mmi_agent.training.supply import Portion, Supply

__all__ = ["Plan", "StepReport", "Trainer"]

CHECKPOINTS = "checkpoints"
_MOMENTS = 10_000  # points of a learning rate's curve that spans time


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked of a run besides its recipe.

    Attributes:
        steps: Optimiser steps of the whole run; the learning rate's curve spans them.
        seconds: Where given, the run ends after so many seconds of steps, and the curve spans these: for a machine
            that is lent. How fast it is then decides where the curve goes.
        seed: Of all that chance decides.
        save_every: Steps between checkpoints.
        keep: Checkpoints that are kept.
        look_every: Steps between looks at the samples that are held back.
        patience: So many steps in a row with something that is not finite end the run.
        checkpoint_layers: Compute the decoder's layers twice rather than keep what they computed.
        compile_layers: Compile layers at the first step.
        shard: With several processes, let each keep a part of the weights alone.
    """

    steps: int
    seconds: float | None = None
    seed: int = 0
    save_every: int = 100
    keep: int = 2
    look_every: int = 100
    patience: int = 20
    checkpoint_layers: bool = False
    compile_layers: bool = False
    shard: bool = False

    def __post_init__(self) -> None:
        if min(self.steps, self.save_every, self.keep, self.look_every, self.patience) < 1:
            raise ConfigError(f"steps, save_every, keep, look_every and patience must be at least 1: {self}")


@dataclass(frozen=True, kw_only=True)
class StepReport:
    """What became of a step: a line of the log.

    Attributes:
        step: Steps done, this one included.
        loss: What was minimised, before the step.
        text_loss: Mean over the tokens that count, in nats.
        picture_loss: Mean over the pictures that are drawn; None where none was.
        lr: The learning rate of groups with rate 1.
        grad_norm: Before clipping.
        tokens: Positions read, without padding.
        learnt: Tokens that count.
        samples: Samples read.
        seconds: Time that it took.
        tokens_per_s: Positions a second.
        skipped: Whether nothing was learnt, because something was not finite.
        sources: Of a skipped step, the samples.
        broken: Samples that could not be read on the way.
        cut: Samples that are longer than a row.
        lost: Tokens that these lost at their ends.
    """

    step: int
    loss: float
    text_loss: float
    picture_loss: float | None
    lr: float
    grad_norm: float
    tokens: int
    learnt: int
    samples: int
    seconds: float
    tokens_per_s: float
    skipped: bool = False
    sources: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()
    cut: int = 0
    lost: int = 0


class _Sums(NamedTuple):
    text: float
    picture: float


class Trainer:
    """A run of training in its folder; one that was begun there goes on.

    Args:
        model: The model. It is changed: frozen in parts, LoRA put in, weights trained.
        base: Fingerprint of its weights.
        recipe: How it learns.
        plan: What is asked of the run.
        supply: Its data.
        folder: Where log and checkpoints go.
        held_back: Batches of samples that are not trained on.
        start: What the model starts as, by the names that it is saved under: parts that learn, and others, which stay
            so and are saved with them. What is not in it starts as in the model.
        processes: The processes of the run; None joins those that were started together.

    Raises:
        ConfigError: If the recipe does not fit the model, or the folder holds another run.
        CheckpointError: If the latest checkpoint is damaged.
        MissingDependencyError: If a library is not installed.
    """

    def __init__(
        self,
        model: MMInterleavedModel,
        *,
        base: str,
        recipe: Recipe,
        plan: Plan,
        supply: Supply,
        folder: Path,
        held_back: Sequence[Batch] = (),
        start: Mapping[str, Tensor] | None = None,
        processes: Processes | None = None,
    ) -> None:
        self.recipe, self.plan, self.supply, self.folder = recipe, plan, supply, folder
        self.processes = processes or join()
        self.objective = Objective(model)
        self.state = RunState(
            step=0,
            counters=Counters(),
            data=supply.fingerprint,
            base=base,
            processes=self.processes.size,
            plan=_deciding(recipe, plan, start or {}),
        )
        self._kept = _start_as(model, prepare(model, recipe, seed=plan.seed), start or {})
        model.to(self.processes.device)
        if plan.checkpoint_layers:
            checkpoint_layers(model)
        if plan.compile_layers:
            compile_layers(model)
        self._module = self.processes.spread(self.objective, shard=plan.shard)
        self.learners = find_learners(model, recipe)
        self.optimizer = make_optimizer(self.learners, recipe)
        self._held_back, self._stopping = held_back, False
        if (found := latest(folder / CHECKPOINTS)) is not None:
            self._go_on_from(found)

    @property
    def done(self) -> bool:
        """Whether all steps are done, or their time is over."""
        is_late = self.plan.seconds is not None and self.state.counters.seconds >= self.plan.seconds
        return is_late or self.state.step >= self.plan.steps

    def stop(self) -> None:
        """Asks `run` to end after the step that is under way, with a checkpoint."""
        self._stopping = True

    def run(
        self,
        report: Callable[[StepReport], None] | None = None,
        looked: Callable[[HeldBack], None] | None = None,
    ) -> None:
        """Trains up to the last step, or until it is stopped.

        Args:
            report: Told of every step.
            looked: Told of every look at what is held back.

        Raises:
            CheckpointError: If log or checkpoint cannot be written; the last checkpoint stays.
            ConfigError: If too many steps in a row were not finite, or another process trains in the folder.
            DataError: If the data gives nothing that can be used.
        """
        if not self.processes.leads:
            self._run(None, report, looked)
            return
        with alone_in(self.folder), closing(Log(self.folder, step=self.state.step)) as log:
            self._run(log, report, looked)

    def _run(
        self, log: Log | None, report: Callable[[StepReport], None] | None, looked: Callable[[HeldBack], None] | None
    ) -> None:
        with closing(self.supply.portions(self.state.step)) as portions:
            while not self.done:
                told, stopping = self._step(portions)
                if log:
                    log.write(asdict(told))
                if report:
                    report(told)
                if self._held_back and (self.done or self.state.step % self.plan.look_every == 0):
                    self._look(log, looked)
                if self.done or stopping or self.state.step % self.plan.save_every == 0:
                    self.save()
                if stopping:
                    break
                self._refuse_more(told)

    def save(self) -> None:
        """Writes a checkpoint.

        Raises:
            CheckpointError: If it cannot be written; the last one stays.
        """
        weights, optimizer = self._gathered(self._weights()), self._gathered(self._optimizer_state())
        if self.processes.leads:
            save(self.folder / CHECKPOINTS, self.state, weights, optimizer, keep=self.plan.keep)
        self.processes.wait()

    def weights(self) -> dict[str, Tensor]:
        """What learns, by the names that it is saved under, on the CPU of the process that leads."""
        return self._gathered(self._weights())

    def _step(self, portions: Iterator[Portion]) -> tuple[StepReport, bool]:
        began = time.perf_counter()
        portion = next(portions)
        lr = self._rate()
        for group in self.optimizer.param_groups:
            group["lr"] = lr * group["rate"]
        counts = self._count(portion.batches)
        sums = self._learn(portion.batches, counts)
        norm = self._clip()
        text, picture, stops = self.processes.total([sums.text, sums.picture, float(self._stopping)])
        text_loss, picture_loss = text / max(counts.tokens, 1), picture / max(counts.pictures, 1)
        loss = self.recipe.text_weight * text_loss + self.recipe.picture_weight * picture_loss
        skipped = not (math.isfinite(loss) and math.isfinite(norm))
        if not skipped:
            self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        seconds = time.perf_counter() - began
        tokens = sum(_num_positions(batch) for batch in portion.batches)
        old = self.state.counters
        counters = Counters(
            samples=old.samples + portion.num_samples,
            tokens=old.tokens + tokens,
            skipped=old.skipped + skipped,
            in_a_row=old.in_a_row + 1 if skipped else 0,
            seconds=old.seconds + seconds,
        )
        self.state = self.state.model_copy(update={"step": self.state.step + 1, "counters": counters})
        told = StepReport(
            step=self.state.step,
            loss=loss,
            text_loss=text_loss,
            picture_loss=picture_loss if counts.pictures else None,
            lr=lr,
            grad_norm=norm,
            tokens=tokens,
            learnt=counts.tokens,
            samples=portion.num_samples,
            seconds=seconds,
            tokens_per_s=tokens / seconds,
            skipped=skipped,
            sources=tuple(source for batch in portion.batches for source in batch.sources) if skipped else (),
            broken=portion.broken,
            cut=len(portion.lost),
            lost=sum(portion.lost),
        )
        return told, stops > 0

    def _rate(self) -> float:
        """The learning rate of the coming step."""
        if self.plan.seconds is None:
            return self.recipe.rate_at(self.state.step, self.plan.steps)
        share = min(self.state.counters.seconds / self.plan.seconds, 1.0)
        return self.recipe.rate_at(int(share * _MOMENTS), _MOMENTS)

    def _learn(self, batches: Sequence[Batch], counts: Counts) -> _Sums:
        """Adds up the gradients of all batches, and returns this process's sums of losses."""
        model, processes = self.objective.model, self.processes
        text_scale = self.recipe.text_weight / max(counts.tokens, 1) * processes.size  # gradients become means
        picture_scale = self.recipe.picture_weight / max(counts.pictures, 1) * processes.size
        text = picture = torch.zeros((), dtype=torch.float64, device=processes.device)
        drawn = 0
        for number, batch in enumerate(batches):
            draw = draw_noise(model, batch, self._seeds(drawn)) if self.recipe.picture_weight else None
            drawn += 0 if draw is None else len(draw.timesteps)
            part, draw = share(batch, draw, model.config, rank=processes.rank, size=processes.size)
            is_last = number == len(batches) - 1
            with nullcontext() if is_last else processes.alone(self._module):
                with processes.precision():
                    costs: Costs = self._module(part.to(processes.device), draw)
                loss = text_scale * costs.text + picture_scale * costs.picture
                if loss.requires_grad:  # not where all that learns are eyes, and there is nothing to see
                    loss.backward()
            text, picture = text + costs.text.detach(), picture + costs.picture.detach()
        return _Sums(text.item(), picture.item())  # waits for the device, once a step

    def _count(self, batches: Sequence[Batch]) -> Counts:
        each = [count(batch) for batch in batches]
        pictures = sum(counts.pictures for counts in each) if self.recipe.picture_weight else 0
        return Counts(sum(counts.tokens for counts in each), pictures)

    def _clip(self) -> float:
        """Clips the gradients, and returns their norm before; what had no part in the step has a gradient of 0."""
        for parameter in self.learners.parameters.values():
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        norm = nn.utils.clip_grad_norm_(self.learners.parameters.values(), self.recipe.clip_norm)
        return whole(norm).item()

    def _seeds(self, first: int) -> Iterator[int]:
        """What decides the noise of each picture of the coming step, from a picture on, however they are batched."""
        for number in count_from(first):
            named = f"{self.plan.seed} {self.state.step} {number}"
            yield int.from_bytes(hashlib.sha256(named.encode()).digest()[:7], "big")

    def _look(self, log: Log | None, looked: Callable[[HeldBack], None] | None) -> None:
        found = judge(self._module, self._held_back, self.objective.model.config, self.processes)
        if log:
            log.write({"step": self.state.step, "held_back": found._asdict()})
        if looked:
            looked(found)

    def _refuse_more(self, told: StepReport) -> None:
        if self.state.counters.in_a_row >= self.plan.patience:
            raise ConfigError(
                f"{self.plan.patience} steps in a row had a loss or gradient that is not finite, the last with "
                f"{', '.join(told.sources[:3])}: lower the learning rate, or look at these samples with mmi data show"
            )

    def _weights(self) -> Iterator[tuple[str, Tensor]]:
        yield from self.learners.parameters.items()
        yield from self._kept.items()

    def _optimizer_state(self) -> Iterator[tuple[str, Tensor]]:
        """The optimiser's state under names of tensors: "exp_avg/decoder.new_head.bias"."""
        for name, parameter in self.learners.parameters.items():
            for key, value in cast("dict[str, Tensor]", self.optimizer.state[parameter]).items():
                yield f"{key}/{name}", value

    def _gathered(self, tensors: Iterator[tuple[str, Tensor]]) -> dict[str, Tensor]:
        """Tensors as a whole, on the process that leads; the others only give their parts."""
        gathered = ((name, whole(tensor)) for name, tensor in tensors)
        return {name: tensor for name, tensor in gathered if self.processes.leads}

    def _go_on_from(self, folder: Path) -> None:
        found = load(folder)
        _refuse_other(folder, found.state, self.state)
        missing = self.learners.parameters.keys() - found.weights.keys()
        if missing:
            raise CheckpointError(f"the checkpoint {folder} lacks {len(missing)} weights, the first is {min(missing)}")
        for name, parameter in self.learners.parameters.items():
            copy_into(parameter, found.weights[name])
            if found.optimizer:  # it has no state before the first step that was not skipped
                self.optimizer.state[parameter] = self._loaded(name, parameter, found.optimizer)
        self.state = found.state

    def _loaded(self, name: str, parameter: Tensor, stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The optimiser's state of a parameter."""
        state = {"step": stored[f"step/{name}"].to(self.processes.device)}
        for key in ("exp_avg", "exp_avg_sq"):
            state[key] = torch.zeros_like(parameter)
            copy_into(state[key], stored[f"{key}/{name}"])
        return state


def _start_as(model: nn.Module, learners: Learners, start: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Writes tensors into a model; returns those parameters of them that do not learn."""
    parameters = {saved_name(name): parameter for name, parameter in model.named_parameters()}
    for name, tensor in start.items():
        parameter = parameters.get(name)
        if parameter is None or parameter.shape != tensor.shape:
            raise ConfigError(
                f"what is gone on with has {name} of {tuple(tensor.shape)}, and with this recipe there is no such"
            )
        parameter.data = tensor.to(parameter.dtype).clone()  # mapped weights are not written to
    return {name: parameters[name] for name in start if name not in learners.parameters}


def _deciding(recipe: Recipe, plan: Plan, start: Mapping[str, Tensor]) -> dict[str, JsonValue]:
    """What decides the curve of a run besides data, weights and processes, as JSON gives it back."""
    told = {"recipe": asdict(recipe), "steps": plan.steps, "seed": plan.seed, "start": _digest(start)}
    told |= {} if plan.seconds is None else {"seconds": plan.seconds}
    return json.loads(json.dumps(told))


def _digest(start: Mapping[str, Tensor]) -> str | None:
    if not start:
        return None
    digest = hashlib.sha256()
    for name, tensor in sorted(start.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:12]


def _refuse_other(folder: Path, found: RunState, asked: RunState) -> None:
    """Refuses to go on with anything that would bend the curve."""
    run = folder.parent.parent
    wrong = ""
    if found.base != asked.base:
        wrong = f"began with weights {found.base[:12]}, these are {asked.base[:12]}"
    elif found.data != asked.data:
        wrong = f"trains on data {found.data[:12]}, this is {asked.data[:12]}"
    elif found.processes != asked.processes:
        wrong = f"has {found.processes} processes, these are {asked.processes}"
    elif found.plan != asked.plan:
        had, has = _flat(found.plan), _flat(asked.plan)
        differing = [name for name in dict.fromkeys([*had, *has]) if had.get(name) != has.get(name)]
        named = [f"has {name} {had.get(name)}, asked was {has.get(name)}" for name in differing]
        wrong = "; ".join(named) or "has other patterns in its recipe's groups than this version"
    if wrong:
        raise ConfigError(f"the run in {run} {wrong}: go on with what it has, or give another --out")


def _flat(plan: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """What decides a curve, the recipe's parts among the rest, and its groups by name."""
    recipe = cast("dict[str, Any]", plan["recipe"])
    groups = ", ".join(f"{group['name']} at {group['rate']:g}" for group in recipe["groups"])
    return {**plan, **recipe, "recipe": recipe["name"], "groups": groups}


def _num_positions(batch: Batch) -> int:
    """Positions without padding, which comes after the last document of a row."""
    position_T = torch.arange(1, batch.ids.shape[1] + 1)
    return int(torch.where(batch.layout.document > 0, position_T, 0).amax(1).sum())
