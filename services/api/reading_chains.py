"""Documents → views of one tenant's chains and characters."""

from contracts.http_chains import ChainView, CharacterPage, CharacterView
from services.api.character_list import CharacterList
from services.api.known_characters import KnownCharacters
from services.api.ports import PageQuery, Stories, Submissions
from services.api.views_of_chains import (
    chain_view,
    pending_chain_view,
    view_of_known,
)
from shared.http.problems import Refusal


class ChainReading:
    """Answers from `chains` and `characters`; what has not begun yet, from `submissions`."""

    def __init__(self, stories: Stories, submissions: Submissions) -> None:
        self._stories = stories
        self._submissions = submissions
        self._characters = KnownCharacters(stories, submissions)
        self._list = CharacterList(stories, submissions)

    async def chain(self, chain_id: str, tenant: str) -> ChainView:
        """A chain of this tenant.

        Raises:
            Refusal: 404, also for another tenant's chain.
        """
        chain = await self._stories.chain(chain_id)
        if chain is not None and chain.request is not None:
            view, owner = chain_view(chain), chain.tenant
        else:
            accepted = await self._submissions.get(chain_id)
            if accepted is None or not accepted.steps:
                raise no_such_chain(chain_id)
            view, owner = pending_chain_view(accepted), accepted.tenant
        if owner != tenant:
            raise no_such_chain(chain_id)
        return view

    async def character(self, character_id: str, tenant: str) -> CharacterView:
        """Return a character of this tenant, stored or accepted a moment ago.

        Raises:
            Refusal: 404, also for another tenant's character.
        """
        known = await self._characters.find(tenant, character_id)
        if known is None:
            raise no_such_character(character_id)
        return view_of_known(known)

    async def characters(self, query: PageQuery) -> CharacterPage:
        """Return a page of the tenant's characters, newest first."""
        return await self._list.page(query)


def no_such_chain(chain_id: str) -> Refusal:
    """Says the same whether there is none or it is another tenant's."""
    return Refusal(404, f"there is no chain {chain_id}")


def no_such_character(character_id: str) -> Refusal:
    """Says the same whether there is none or it is another tenant's."""
    return Refusal(404, f"there is no character {character_id}")
