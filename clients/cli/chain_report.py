"""A chain and its steps, a character and its LoRA, as text."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from clients.cli.progress import COLOURS, NAMES
from contracts.http_chains import ChainStepView, ChainView, CharacterView


def chain_with_steps(view: ChainView) -> RenderableType:
    """A chain: a line of its own, and one for each step with its newest job."""
    headline = Text.assemble(
        (view.state, COLOURS[view.state]), f"  chain  {view.id}", (f"  character {view.character_id}", "dim")
    )
    table = Table.grid(padding=(0, 2))
    for step in view.steps:
        table.add_row(
            Text(f"  {NAMES[step.type]}"),
            Text(step.state, COLOURS[step.state]),
            Text(_facts(step)),
            Text(step.job_ids[-1] if step.job_ids else "", "dim", no_wrap=True),
        )
    errors = [Text(f"  {NAMES[step.type]}: {line}", "red") for step in view.steps if (line := _error(step))]
    return Group(headline, table, *errors)


def _facts(step: ChainStepView) -> str:
    images = f"{len(step.images)} images" if step.images else ""
    tries = f"{len(step.job_ids)} tries" if len(step.job_ids) > 1 else ""
    return ", ".join(fact for fact in (images, tries) if fact)


def _error(step: ChainStepView) -> str | None:
    return f"{step.error.code}: {step.error.message}" if step.error else None


def character_lines(view: CharacterView) -> Iterator[str]:
    """Print a character."""
    who, sheet = view.character, view.sheet
    yield f"{who.name}  {view.id}"
    yield f"  face     {who.base_image_id or 'none chosen'}"
    yield f"  sheet    {f'{len(sheet.images)} images, job {sheet.job_id}' if sheet else 'none'}"
    error = f": {view.lora_error}" if view.lora_error else ""
    yield f"  LoRA     {view.lora_state}{error}"
    if who.lora:
        yield f"           {who.lora.key}"
        yield f"           {who.lora.base_model}, usable at {', '.join(who.lora.providers)}"
    yield f"  trigger  {who.trigger_word}"
