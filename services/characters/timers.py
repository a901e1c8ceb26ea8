"""selections whose `wake_at` has come → character.selection-due"""

from services.characters.selections import PendingSelections, due_messages
from shared.clock import Clock, now
from shared.due_timers import DueTimers
from shared.envelope import Outgoing
from shared.kafka.publisher import Publisher
from shared.mongo import Collection, Document

FIELDS = ("tenant", "character_id", "pending")
TICK_SECONDS = 1.0


def selection_timers(selections: Collection, publisher: Publisher, now: Clock = now) -> DueTimers:
    """Return the timers of pending selections."""
    return DueTimers(selections, publisher, _due_outputs, fields=FIELDS, now=now, tick_seconds=TICK_SECONDS)


def _due_outputs(document: Document) -> list[Outgoing]:
    selections = PendingSelections.model_validate(document)
    return [Outgoing(message, trace) for message, trace in due_messages(selections)]
