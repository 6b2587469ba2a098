"""Training of the autoencoder by itself: pictures in, the same pictures out. No language model has a part in it.

At the end the latents' mean and spread, channel by channel, are folded into the two layers around them, so that latents
times the preset's `scale` are about standard normal, as the diffusion expects; the pictures stay what they were.
"""

# P pictures, S side of a picture

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from pydantic import JsonValue
from torch import Tensor, nn

from mmi_agent.errors import CheckpointError, ConfigError
from mmi_agent.folder_lock import alone_in
from mmi_agent.training.checkpoint import Counters, RunState, latest, load, save
from mmi_agent.training.log import Log
from mmi_agent.training.picture_stream import PictureSource, PictureStream, Pool, held_back_pictures
from mmi_agent.training.reconstruction import (
    Judgement,
    Network,
    Reconstruction,
    judge_autoencoder,
    psnr,
    reconstruction_loss,
)

__all__ = ["AutoencoderPlan", "AutoencoderReport", "AutoencoderTrainer"]

_CHECKPOINTS = "checkpoints"
_BETAS, _WEIGHT_DECAY, _CLIP_NORM = (0.9, 0.99), 0.01, 1.0
_EMA = 0.999
_WARM_UP_STEPS = 100
_HELD_BACK_PICTURES = 256
_lists: Any = torch  # its operations on lists of tensors are private by name, and documented nowhere else


@dataclass(frozen=True, kw_only=True)
class AutoencoderPlan:
    """What is asked of a run.

    Attributes:
        steps: Optimiser steps; None where time decides.
        seconds: Time of training, of all parts of a run that was interrupted together; None where steps decide. With
            both, whatever comes first ends it, and the learning rate follows whatever is nearer its end.
        batch: Pictures of a step.
        echo: How often a picture is learnt from, about, before it is decoded anew.
        pool: Pictures that are kept on the device for that; each of `small` takes 196,608 bytes.
        learning_rate: The highest; it rises over 100 steps, and falls to 0 along a cosine.
        held_back: Part of the samples that is not trained on.
        seed: Of the order of pictures and of the noise.
        workers: Processes that decode pictures.
        save_seconds: Between checkpoints.
        look_every: Steps between looks at what is held back.
        log_every: Steps that a line of the log tells of.
        channels_last: Whether channels stand innermost in memory, as tensor cores want them.
        compiled: Whether PyTorch compiles the network; it takes a minute at the first step.
    """

    steps: int | None = None
    seconds: float | None = None
    batch: int = 64
    echo: int = 4
    pool: int = 16384
    learning_rate: float = 8e-4
    held_back: float = 0.02
    seed: int = 0
    workers: int = 2
    save_seconds: float = 120.0
    look_every: int = 500
    log_every: int = 20
    channels_last: bool = True
    compiled: bool = False

    def __post_init__(self) -> None:
        if self.steps is None and self.seconds is None:
            raise ConfigError("neither steps nor seconds say when the training ends: give one, or both")
        if min(self.batch, self.echo, self.pool, self.look_every, self.log_every) < 1 or self.workers < 0:
            raise ConfigError(f"batch, echo, pool, look_every and log_every must be at least 1: {self}")
        if self.pool < self.batch:
            raise ConfigError(f"a batch of {self.batch} pictures is more than the {self.pool} that are kept: lower it")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"the learning rate is {self.learning_rate:g}: expected a number above 0")

    @property
    def new(self) -> int:
        """Pictures of a batch that were not learnt from before."""
        return max(1, self.batch // self.echo)

    def done(self, step: int, seconds: float) -> float:
        """The share of the run that is over, in 0..1."""
        by_steps = step / self.steps if self.steps else 0.0
        by_time = seconds / self.seconds if self.seconds else 0.0
        return min(1.0, max(by_steps, by_time))

    def rate_at(self, step: int, seconds: float) -> float:
        """The learning rate of a step, counted from 0."""
        warm = min(1.0, (step + 1) / _WARM_UP_STEPS)
        return self.learning_rate * warm * (1 + math.cos(math.pi * self.done(step, seconds))) / 2


@dataclass(frozen=True, kw_only=True)
class AutoencoderReport:
    """What became of some steps: a line of the log.

    Attributes:
        step: Steps done.
        loss: Mean of these steps.
        psnr: Of the last batch, with noise in the latents, in decibels.
        lr: The learning rate of the last.
        grad_norm: Of the last, before clipping.
        samples: Samples read so far, those without pictures and those that are held back included.
        seconds: Time of training so far.
        pictures_per_s: Pictures a second, those that were learnt from before included.
        waited: Share of the time in which pictures were waited for.
        skipped: Steps so far that were skipped because something was not finite.
    """

    step: int
    loss: float
    psnr: float
    lr: float
    grad_norm: float
    samples: int
    seconds: float
    pictures_per_s: float
    waited: float
    skipped: int


class AutoencoderTrainer:
    """A run of training in its folder; one that was begun there goes on.

    Weights are kept and stepped in float32. On a GPU the network computes on a copy of them in bfloat16, norms
    included, which sum in float32 inside: half the traffic of autocast.

    Args:
        autoencoder: diffusers' `AutoencoderKL` of a model; it is changed.
        image_size: Side of its pictures, in pixels.
        plan: What is asked of the run.
        sources: Its pictures.
        folder: Where log and checkpoints go.
        base: Fingerprint of the model's weights.
        device: What it computes on.

    Attributes:
        state: Where the run is.
        held_back: Pictures that are not trained on: RGB, uint8.

    Raises:
        ConfigError: If the folder holds another run.
        CheckpointError: If the latest checkpoint is damaged.
    """

    def __init__(
        self,
        autoencoder: Any,
        *,
        image_size: int,
        plan: AutoencoderPlan,
        sources: Sequence[PictureSource],
        folder: Path,
        base: str,
        device: torch.device,
    ) -> None:
        self.plan, self.folder, self.device = plan, folder, device
        self.autoencoder: Any = nn.Module.to(autoencoder, device, torch.float32).requires_grad_(True).train()
        self._image_size, self._sources = image_size, sources
        self._master: dict[str, nn.Parameter] = dict(autoencoder.named_parameters())
        self._average = {name: parameter.detach().clone() for name, parameter in self._master.items()}
        self._dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
        self._layout = torch.channels_last if plan.channels_last else torch.contiguous_format
        plainly: Any = nn.Module.to  # diffusers' own warns of nothing
        self._working: Any = plainly(copy.deepcopy(self.autoencoder), dtype=self._dtype, memory_format=self._layout)
        for parameter in self._master.values():
            parameter.grad = torch.zeros_like(parameter)
        self._network: Callable[..., Reconstruction] = Network(self._working)
        if plan.compiled:
            self._network = cast("Callable[..., Reconstruction]", torch.compile(self._network))
        decays = [parameter for parameter in self._master.values() if parameter.ndim > 1]
        others = [parameter for parameter in self._master.values() if parameter.ndim <= 1]
        groups = [{"params": decays, "weight_decay": _WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=plan.learning_rate, betas=_BETAS, fused=True)
        self.state = RunState(
            step=0,
            counters=Counters(),
            data=" ".join(source.fingerprint[:12] for source in sources),
            base=base,
            processes=1,
            plan=_deciding(plan),
        )
        self._stopping = False
        if (found := latest(folder / _CHECKPOINTS)) is not None:
            self._go_on_from(found)
        self.held_back = held_back_pictures(
            sources, side_px=image_size, workers=plan.workers, held_back=plan.held_back, most=_HELD_BACK_PICTURES
        )

    @property
    def done(self) -> bool:
        """Whether all steps are done, or all time is gone."""
        return self.plan.done(self.state.step, self.state.counters.seconds) >= 1

    def stop(self) -> None:
        """Asks `run` to end after the step that is under way, with a checkpoint."""
        self._stopping = True

    def run(
        self,
        report: Callable[[AutoencoderReport], None] | None = None,
        looked: Callable[[Judgement], None] | None = None,
    ) -> None:
        """Trains until the plan is fulfilled, or until it is stopped.

        Args:
            report: Told of every line of the log.
            looked: Told of every look at what is held back.

        Raises:
            CheckpointError: If log or checkpoint cannot be written; the last checkpoint stays.
            ConfigError: If another process trains in the folder.
            DataError: If there are no pictures.
        """
        with alone_in(self.folder), closing(Log(self.folder, step=self.state.step)) as log:
            self._run(log, report, looked)
            self._save()

    def averaged(self) -> Any:
        """The autoencoder with the running mean of its weights, which is what is kept of a run; float32, a copy."""
        made = copy.deepcopy(self.autoencoder).eval().requires_grad_(False)
        for name, parameter in made.named_parameters():
            parameter.copy_(self._average[name])
        return made

    def some_pictures(self, number: int) -> Tensor:
        """The first pictures that are trained on: RGB, uint8, shape (up to `number`, 3, S, S)."""
        taken = list[Tensor]()
        for pixels in self._stream(0, workers=0):
            taken.append(pixels)
            if sum(map(len, taken)) >= number or len(taken) >= number:
                break
        return torch.cat(taken)[:number]

    def _run(
        self,
        log: Log,
        report: Callable[[AutoencoderReport], None] | None,
        looked: Callable[[Judgement], None] | None,
    ) -> None:
        stream = self._stream(self.state.counters.samples, workers=self.plan.workers)
        pool = Pool(self.plan.pool, self._image_size, self.device)
        window = _Window(self.state.counters)
        pictures = iter(stream)
        saved = time.monotonic()
        while not self.done and not self._stopping:
            window.wait(lambda: self._fill(pool, pictures))
            self._step(pool, window)
            self.state = self._after(stream.place, window)
            if self.state.step % self.plan.log_every == 0 or self.done:
                told = window.tell(self.state)
                log.write(asdict(told))
                if report:
                    report(told)
            if self.state.step % self.plan.look_every == 0 and len(self.held_back):
                found = judge_autoencoder(self._working, self.held_back)
                log.write({"step": self.state.step, "held_back": found._asdict()})
                if looked:
                    looked(found)
            if time.monotonic() - saved >= self.plan.save_seconds:
                self._save()
                saved = time.monotonic()

    def _stream(self, place: int, *, workers: int) -> PictureStream:
        return PictureStream(
            self._sources,
            side_px=self._image_size,
            seed=self.plan.seed,
            workers=workers,
            held_back=self.plan.held_back,
            place=place,
        )

    def _fill(self, pool: Pool, pictures: Iterator[Tensor]) -> None:
        """Adds what a batch has that is new."""
        added = 0
        while added < self.plan.new:
            pixels = next(pictures)
            pool.add(pixels)
            added += len(pixels)

    def _step(self, pool: Pool, window: "_Window") -> None:
        step, plan = self.state.step, self.plan
        lr = plan.rate_at(step, window.seconds)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        chance = torch.Generator().manual_seed(plan.seed * 1_000_003 + step)
        pixels_P3SS = pool.batch(plan.batch, new=plan.new, generator=chance).to(self._dtype) / 127.5 - 1
        pixels_P3SS = pixels_P3SS.contiguous(memory_format=self._layout)
        made = self._network(pixels_P3SS, self._noise(len(pixels_P3SS), step))
        loss = reconstruction_loss(made, pixels_P3SS)
        loss.backward()
        norm = self._take_gradients()
        window.note(loss.detach(), norm, lr, made.pixels.detach(), pixels_P3SS)
        if not math.isfinite(window.norm):
            window.skip()
            return
        self._optimizer.step()
        working, master = [*self._working.parameters()], [*self._master.values()]
        with torch.no_grad():
            _lists._foreach_copy_(working, master)
            share = 1 - min(_EMA, (step + 1) / (step + 10))
            average = [*self._average.values()]
            _lists._foreach_lerp_(average, master, share)

    def _noise(self, number: int, step: int) -> Tensor:
        config = self.autoencoder.config
        side = self._image_size // 2 ** (len(config.block_out_channels) - 1)
        chance = torch.Generator(self.device).manual_seed(self.plan.seed * 1_000_003 + step)
        shape = (number, config.latent_channels, side, side)
        return torch.randn(shape, generator=chance, device=self.device, dtype=self._dtype)

    def _take_gradients(self) -> Tensor:
        """Moves the working copy's gradients to the weights, clipped; returns their norm before."""
        taken: list[Tensor] = [each.grad for each in self._working.parameters()]
        given = [cast("Tensor", each.grad) for each in self._master.values()]
        _lists._foreach_copy_(given, taken)
        self._working.zero_grad(set_to_none=True)
        return nn.utils.clip_grad_norm_(self._master.values(), _CLIP_NORM)

    def _after(self, samples: int, window: "_Window") -> RunState:
        counters = self.state.counters.model_copy(
            update={"samples": samples, "seconds": window.seconds, "skipped": window.skipped}
        )
        return self.state.model_copy(update={"step": self.state.step + 1, "counters": counters})

    def _save(self) -> None:
        weights = {f"weights/{name}": tensor for name, tensor in self._master.items()}
        weights |= {f"average/{name}": tensor for name, tensor in self._average.items()}
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
        save(self.folder / _CHECKPOINTS, self.state, tensors, dict(self._optimizer_state()), keep=2)

    def _optimizer_state(self) -> Iterator[tuple[str, Tensor]]:
        for name, parameter in self._master.items():
            for key, value in cast("dict[str, Tensor]", self._optimizer.state.get(parameter, {})).items():
                yield f"{key}/{name}", value.detach().cpu().contiguous()

    @torch.no_grad()
    def _go_on_from(self, folder: Path) -> None:
        found = load(folder)
        _refuse_other(folder, found.state, self.state)
        try:
            for (name, parameter), working in zip(self._master.items(), self._working.parameters(), strict=True):
                parameter.copy_(found.weights[f"weights/{name}"])
                working.copy_(parameter)
                self._average[name].copy_(found.weights[f"average/{name}"])
                keys = [key for key in ("step", "exp_avg", "exp_avg_sq") if f"{key}/{name}" in found.optimizer]
                state = {key: found.optimizer[f"{key}/{name}"].to(self.device) for key in keys}
                if state:
                    self._optimizer.state[parameter] = state
        except (KeyError, RuntimeError) as error:
            raise CheckpointError(f"the checkpoint {folder} is of another autoencoder ({error})") from error
        self.state = found.state


class _Window:
    """What is known of the steps since the last line of the log, and the clock of the run."""

    def __init__(self, counters: Counters) -> None:
        self._began = time.monotonic() - counters.seconds
        self.skipped = counters.skipped
        self.norm = self._lr = 0.0
        self._start()

    @property
    def seconds(self) -> float:
        """Time of training so far, of all parts of the run."""
        return time.monotonic() - self._began

    def wait(self, work: Callable[[], None]) -> None:
        """Does what has to be waited for."""
        began = time.monotonic()
        work()
        self._waited += time.monotonic() - began

    def note(self, loss: Tensor, norm: Tensor, lr: float, made_P3SS: Tensor, wanted_P3SS: Tensor) -> None:
        """Notes a step; waits for the device."""
        self._losses.append(loss)
        self._pictures += len(wanted_P3SS)
        self._lr, self.norm = lr, norm.item()
        self._last = made_P3SS, wanted_P3SS

    def skip(self) -> None:
        """Notes that the step taught nothing."""
        self.skipped += 1

    def tell(self, state: RunState) -> AutoencoderReport:
        """Sums up the steps, and begins anew."""
        seconds = time.monotonic() - self._since
        made_P3SS, wanted_P3SS = (each.float() / 2 + 0.5 for each in self._last)
        told = AutoencoderReport(
            step=state.step,
            loss=torch.stack(self._losses).mean().item(),
            psnr=psnr(made_P3SS.clamp(0, 1), wanted_P3SS).mean().item(),
            lr=self._lr,
            grad_norm=self.norm,
            samples=state.counters.samples,
            seconds=state.counters.seconds,
            pictures_per_s=self._pictures / seconds,
            waited=self._waited / seconds,
            skipped=state.counters.skipped,
        )
        self._start()
        return told

    def _start(self) -> None:
        self._since, self._waited, self._pictures = time.monotonic(), 0.0, 0
        self._losses: list[Tensor] = []


def _deciding(plan: AutoencoderPlan) -> dict[str, JsonValue]:
    """What another part of the same run has to share: not when it ends, nor how fast it goes."""
    return {"batch": plan.batch, "learning_rate": plan.learning_rate, "seed": plan.seed, "held_back": plan.held_back}


def _refuse_other(folder: Path, found: RunState, asked: RunState) -> None:
    run = folder.parent.parent
    for name, had, has in (("weights", found.base, asked.base), ("data", found.data, asked.data)):
        if had != has:
            raise ConfigError(f"the run in {run} has other {name}: go on with what it has, or give another --out")
    if found.plan != asked.plan:
        raise ConfigError(f"the run in {run} has {found.plan}, asked was {asked.plan}: give another --out")
