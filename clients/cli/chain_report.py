"""Text of chains with their steps, and of characters with their LoRA."""

from collections.abc import Iterator

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from clients.cli.wording import COLOURS, TYPE_NAMES
from contracts.http_chains import ChainStepView, ChainView, CharacterView


def chain_with_steps(view: ChainView) -> RenderableType:
    """Return a headline for the chain and a line for each step with its newest job."""
    headline = Text.assemble(
        (view.state, COLOURS[view.state]), f"  chain  {view.id}", (f"  character {view.character_id}", "dim")
    )
    table = Table.grid(padding=(0, 2))
    for step in view.steps:
        table.add_row(
            Text(f"  {TYPE_NAMES[step.type]}"),
            Text(step.state, COLOURS[step.state]),
            Text(_facts(step)),
            Text(step.job_ids[-1] if step.job_ids else "", "dim", no_wrap=True),
        )
    errors = [
        Text(f"  {TYPE_NAMES[step.type]}: {line}", "red") for step in view.steps if (line := _error(step))
    ]
    return Group(headline, table, *errors)


def _facts(step: ChainStepView) -> str:
    images = f"{len(step.images)} images" if step.images else ""
    tries = f"{len(step.job_ids)} tries" if len(step.job_ids) > 1 else ""
    return ", ".join(fact for fact in (images, tries) if fact)


def _error(step: ChainStepView) -> str | None:
    return f"{step.error.code}: {step.error.message}" if step.error else None


def character_lines(view: CharacterView) -> Iterator[str]:
    """Yield the lines that describe a character."""
    character, sheet = view.character, view.sheet
    yield f"{character.name}  {view.id}"
    yield f"  face     {character.base_image_id or 'none chosen'}"
    yield f"  sheet    {f'{len(sheet.images)} images, job {sheet.job_id}' if sheet else 'none'}"
    error = f": {view.lora_error}" if view.lora_error else ""
    yield f"  LoRA     {view.lora_state}{error}"
    if character.lora:
        yield f"           {character.lora.key}"
        yield f"           {character.lora.base_model}, usable at {', '.join(character.lora.providers)}"
    yield f"  trigger  {character.trigger_word}"
