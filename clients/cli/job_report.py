"""Print jobs, their images and links, as text or JSON."""

import json
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from clients.cli.wording import COLOURS, TYPE_NAMES, delivered_text, time_text
from contracts.http import JobView, ResultImage, ResultLora, Results

TABLE_WIDTH = 112


def print_job(view: JobView, results: Results, files: Sequence[Path] = (), *, as_json: bool = False) -> None:
    """Print the state of a job, its images, and the file or link of each."""
    if as_json:
        print(json.dumps(_as_json(view, results, files), indent=2, ensure_ascii=False))
        return
    console = Console(highlight=False)
    console.print(Text.assemble((view.status, COLOURS[view.status]), f"  {TYPE_NAMES[view.type]}  {view.id}"))
    for line in _facts(view):
        console.print(f"  {line}", soft_wrap=True, markup=False)
    for image, file in zip_longest(results.images, files):
        console.print(f"  {_image_line(image)}", soft_wrap=True, markup=False)
        console.print(f"    {file or image.url}", soft_wrap=True, markup=False)
    for lora in results.loras:
        console.print(f"  {_lora_line(lora)}", soft_wrap=True, markup=False)
        console.print(f"    {lora.key}\n    {lora.url}", soft_wrap=True, markup=False)


def print_jobs(views: Sequence[JobView], *, as_json: bool = False) -> None:
    """Print a table of jobs."""
    if as_json:
        print(json.dumps([view.model_dump(mode="json") for view in views], indent=2, ensure_ascii=False))
        return
    table = Table(box=None, pad_edge=False)
    table.add_column("job", no_wrap=True, min_width=36)
    for name in ("type", "status", "result", "time", "created"):
        table.add_column(name)
    for view in views:
        table.add_row(
            view.id,
            TYPE_NAMES[view.type],
            Text(view.error.code if view.error else view.status, COLOURS[view.status]),
            _delivered(view),
            _time(view),
            f"{view.created:%m-%d %H:%M:%S}",
        )
    wide_console().print(table if views else "no jobs")


def wide_console() -> Console:
    """Return a console that is wide enough for ids and names, whatever the width of the terminal."""
    return Console(highlight=False, width=max(Console().width, TABLE_WIDTH))


def _delivered(view: JobView) -> str:
    return delivered_text(view.type, view.delivered, view.requested, ended=view.terminal)


def _time(view: JobView) -> str:
    return time_text(view.elapsed_seconds, view.waited_seconds, view.target_seconds, view.phase)


def _facts(view: JobView) -> list[str]:
    cost = f", {view.cost_usd:.4f} USD{' (estimated)' if view.cost_estimated else ''}"
    facts = [
        f"time    {_time(view)}",
        f"result  {_delivered(view)}, attempts {view.attempts}{cost}",
    ]
    if view.error:
        facts.append(f"error   {view.error.code}: {view.error.message}")
    known = view.error.message if view.error else None
    errors = {image.label: image.error.message for image in view.images if image.error}
    return facts + [f"image   {label}: {message}" for label, message in errors.items() if message != known]


def _image_line(image: ResultImage) -> str:
    size = f"{image.width}×{image.height}"
    seed = "seed unknown" if image.seed is None else f"seed {image.seed}"
    return f"{image.index + 1:>2}  {image.label}  {size}, {image.provider}, {seed}"


def _lora_line(lora: ResultLora) -> str:
    steps = f", {lora.steps} steps" if lora.steps else ""
    return f"LoRA  {lora.trigger_word}  {lora.bytes:,} bytes, {lora.base_model}{steps}, {lora.provider}"


def _as_json(view: JobView, results: Results, files: Sequence[Path]) -> dict[str, object]:
    images = [image.model_dump(mode="json") for image in results.images]
    for image, file in zip(images, files, strict=False):
        image["file"] = str(file)
    loras = [lora.model_dump(mode="json") for lora in results.loras]
    return view.model_dump(mode="json", exclude={"images"}) | {"images": images, "loras": loras}
