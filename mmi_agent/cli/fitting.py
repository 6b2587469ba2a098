"""`mmi doctor --preset`: what of a preset fits where, before anything is fetched."""

import json as json_format
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mmi_agent.checkpoints.footprint import Footprint
    from mmi_agent.cli.checks import Room

__all__ = ["tell_fitting"]

_CARDS_GB = (8, 12, 16, 24, 32, 40, 48, 80, 96, 141, 192)
_RESERVED_BYTES = 1_000_000_000  # what a driver, its kernels and the gaps between tensors take; on a CPU, the system


def tell_fitting(name: str, *, json: bool) -> bool:
    """Prints what a preset takes in each precision, and whether this machine has it.

    Returns:
        Whether there is a precision in which the preset fits this machine.
    """
    from mmi_agent.cache import cache_root
    from mmi_agent.checkpoints.footprint import PRECISIONS, footprint, parameters_per_part
    from mmi_agent.cli.checks import find_room
    from mmi_agent.models.configs import preset

    config, room = preset(name), find_room(cache_root())
    parts = parameters_per_part(config)
    rows = [_row(footprint(config, precision), room) for precision in PRECISIONS]
    window = {
        "tokens": config.decoder.max_positions,
        "pictures": config.decoder.max_positions // (1 + config.resampler.num_queries),
    }
    if json:
        told = {"preset": name, "parameters": parts, "window": window, "precisions": rows, "machine": asdict(room)}
        print(json_format.dumps(told, indent=2))
    else:
        _print(name, parts, window, rows, room)
    return any(row["fits_gpu"] or row["fits_memory"] for row in rows)


def _row(taken: "Footprint", room: "Room") -> dict[str, Any]:
    at_rest, offloaded, drawing = taken.to_write(offloaded=False), taken.to_write(offloaded=True), taken.to_draw()
    peak = max(offloaded, drawing) + _RESERVED_BYTES
    card = next((size for size in _CARDS_GB if peak <= size * 1e9), None)
    return asdict(taken) | {
        "weights_bytes": taken.weights_bytes,
        "to_write_bytes": at_rest,
        "to_write_offloaded_bytes": offloaded,
        "to_draw_bytes": drawing,
        "smallest_card_gb": card,
        "fits_gpu": peak <= room.gpu_bytes,
        "fits_memory": peak <= room.memory_bytes,
    }


def _print(name: str, parts: dict[str, int], window: dict[str, int], rows: list[dict[str, Any]], room: "Room") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("precision", box=None, pad_edge=False)
    headings = ("weights", "to write", "to write, image decoder offloaded", "to draw", "smallest card", "here")
    for heading in headings:
        table.add_column(heading, justify="right", ratio=2 if "offloaded" in heading else 1)
    for row in rows:
        keys = ("weights_bytes", "to_write_bytes", "to_write_offloaded_bytes", "to_draw_bytes")
        places = [place for place, fits in (("GPU", row["fits_gpu"]), ("CPU", row["fits_memory"])) if fits]
        card = f"{row['smallest_card_gb']} GB" if row["smallest_card_gb"] else "none"
        table.add_row(row["precision"], *(_gb(row[key]) for key in keys), card, ", ".join(places) or "does not fit")
    whole = sum(parts.values())
    listed = ", ".join(f"{part} {count / 1e6:,.0f} M" for part, count in parts.items())
    print(f"{name}: {whole / 1e6:,.0f} M parameters: {listed}")
    console.print(table)
    gpu = f"{room.gpu}, {_gb(room.gpu_bytes)}" if room.gpu else "no GPU"
    print(f"this machine: {_gb(room.memory_bytes)} of memory, {gpu}, {_gb(room.disk_bytes)} of disk free for weights")
    print(
        f"counted: weights, and a full window's cache ({window['tokens']:,} tokens, {window['pictures']} pictures); "
        f"int8 and int4 are the decoder's layers, the rest is bfloat16; an offloaded image decoder comes back to draw"
    )
    print(
        "estimated: reading, 8 tensors of the decoder's width and 3 of its feed-forward's a token; drawing, 4 maps of "
        "the autoencoder at the picture's size; 1 GB on top for driver or system"
    )
    if name == "full":
        converted = next(row["weights_bytes"] for row in rows if row["precision"] == "bfloat16")
        state = "there is room" if 2 * converted < room.disk_bytes else "too little is free"
        print(f"on disk: {_gb(2 * converted)} to fetch and convert, {_gb(converted)} to keep: {state}")


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
