"""Views of chains and characters for their owner. Pure."""

from contracts.chains import Chain
from contracts.characters import Character, CharacterRecord
from contracts.http_chains import ChainStepView, ChainView, CharacterView
from services.api.domain import Accepted
from services.api.known_characters import KnownCharacter


def chain_view(chain: Chain) -> ChainView:
    """Return the view of a chain that has started."""
    steps = tuple(
        ChainStepView(
            type=step.type,
            state=step.state,
            job_ids=tuple(attempt.job_id for attempt in step.tries),
            images=step.images,
            error=step.error,
        )
        for step in chain.steps
    )
    return ChainView.model_validate(
        {
            "id": chain.chain_id,
            "character_id": chain.character_id,
            "user_id": chain.user_id,
            "state": chain.state,
            "steps": steps,
            "created": chain.created_at,
            "finished_at": chain.finished_at,
        }
    )


def pending_chain_view(accepted: Accepted) -> ChainView:
    """Return the view of a chain that is accepted and has not started yet."""
    first, *others = accepted.steps
    begun = ChainStepView(type=first, state="running", job_ids=(accepted.job_id,))
    return ChainView.model_validate(
        {
            "id": accepted.chain_id,
            "character_id": accepted.character_id,
            "user_id": accepted.user_id,
            "state": "running",
            "steps": (begun, *(ChainStepView(type=kind, state="waiting") for kind in others)),
            "created": accepted.requested_at,
        }
    )


def character_view(record: CharacterRecord) -> CharacterView:
    """Return the view of a stored character."""
    return CharacterView(
        id=record.character_id,
        user_id=record.user_id,
        character=record.character,
        selected_at=record.selected_at,
        sheet=record.sheet,
        lora_state=record.lora_state,
        lora_error=record.lora_error,
        trainings=record.trainings,
        created=record.created_at,
        updated=record.updated_at,
    )


def view_of_known(known: KnownCharacter) -> CharacterView:
    """Return the view of a character, stored or not yet stored."""
    view = character_view(known.record) if known.record else None
    if known.accepted:
        return pending_character_view(known.accepted, known.character, view)
    assert view is not None, "it is stored"
    return view


def pending_character_view(
    accepted: Accepted, character: Character, stored: CharacterView | None
) -> CharacterView:
    """Return the view of a character, or of a new face of one, that is accepted and not stored yet."""
    pending = {"state": "pending", "character": character, "updated": accepted.requested_at}
    if stored is None:
        about = {"id": accepted.character_id, "user_id": accepted.user_id}
        return CharacterView.model_validate(
            about | pending | {"lora_state": "none", "created": accepted.requested_at}
        )
    pending |= {"selected_at": accepted.requested_at}
    if character.base_image_id != stored.character.base_image_id:
        pending |= {"lora_state": "none", "lora_error": None}
    return stored.model_copy(update=pending)
