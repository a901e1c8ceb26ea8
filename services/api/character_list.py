"""Pages of a tenant's characters, stored and accepted, newest first."""

from collections.abc import Iterable

from contracts.characters import CharacterRecord
from contracts.http_chains import CharacterPage, CharacterView
from services.api.chain_views import view_of_known
from services.api.domain import Accepted
from services.api.job_pages import cursor_of
from services.api.known_characters import is_ahead, known_character
from services.api.ports import ChainStore, PageQuery, Position, Submissions


class CharacterList:
    """Lists `characters`, and from `submissions` those that are not stored yet."""

    def __init__(self, chains: ChainStore, submissions: Submissions) -> None:
        self._chains = chains
        self._submissions = submissions

    async def page(self, query: PageQuery) -> CharacterPage:
        """Return a page of characters, newest first.

        Submissions are read before records: a character that is stored in between appears in both
        lists, and never in none.
        """
        wider = query.with_one_more()
        accepted = await self._not_stored(wider)
        records = await self._chains.page(wider)
        choices = await self._pending(query.tenant, (record.character_id for record in records))
        views = {character_id: _view(None, pending) for character_id, pending in accepted.items()}
        views |= {each.character_id: _view(each, choices.get(each.character_id)) for each in records}
        ordered = sorted(views.values(), key=_position, reverse=True)
        listed = ordered[: query.limit]
        more = len(ordered) > query.limit
        return CharacterPage(
            characters=tuple(listed), next_cursor=cursor_of(_position(listed[-1])) if more else None
        )

    async def _not_stored(self, query: PageQuery) -> dict[str, Accepted]:
        """Return the newest submissions whose character has no record, up to the query's limit.

        Those that a record shows are marked, so that no later listing reads them again.
        """
        found: dict[str, Accepted] = {}
        while True:
            batch = await self._submissions.pending_characters(query)
            ids = {_character_id(each) for each in batch}
            records = await self._chains.characters_of(query.tenant, ids)
            shown = {each.job_id for each in batch if _is_shown(each, records)}
            if shown:
                await self._submissions.mark_stored(shown)
            newest = await self._pending(query.tenant, ids - records.keys())
            found |= {_character_id(each): each for each in batch if each in newest.values()}
            if len(found) >= query.limit or len(batch) < query.limit:
                return found
            query = query.from_position((batch[-1].requested_at, _character_id(batch[-1])))

    async def _pending(self, tenant: str, ids: Iterable[str]) -> dict[str, Accepted]:
        """Return the submission of each character: the newest choice of a face, or the creation."""
        found: dict[str, Accepted] = {}
        for each in await self._submissions.pending_of(tenant, ids):
            other = found.get(_character_id(each))
            if other is None or _rank(each) > _rank(other):
                found[_character_id(each)] = each
        return found


def _view(record: CharacterRecord | None, pending: Accepted | None) -> CharacterView:
    known = known_character(record, pending)
    assert known is not None, "it is stored or accepted"
    return view_of_known(known)


def _is_shown(accepted: Accepted, records: dict[str, CharacterRecord]) -> bool:
    record = records.get(_character_id(accepted))
    return record is not None and not is_ahead(accepted, record)


def _rank(accepted: Accepted) -> tuple[bool, float]:
    return accepted.chain_id is not None, accepted.requested_at.timestamp()


def _character_id(accepted: Accepted) -> str:
    assert accepted.character_id is not None, "it stores a character"
    return accepted.character_id


def _position(view: CharacterView) -> Position:
    return view.created, view.id
