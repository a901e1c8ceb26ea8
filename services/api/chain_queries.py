"""Queries of one tenant's chains and characters."""

from contracts.http_chains import ChainView, CharacterPage, CharacterView
from services.api.chain_views import (
    chain_view,
    pending_chain_view,
    view_of_known,
)
from services.api.character_list import CharacterList
from services.api.known_characters import KnownCharacters
from services.api.ports import ChainStore, PageQuery, Submissions
from shared.http.problems import Refusal


class ChainQueries:
    """Reads `chains` and `characters`; from `submissions`, those that are not stored yet."""

    def __init__(self, chains: ChainStore, submissions: Submissions) -> None:
        self._chains = chains
        self._submissions = submissions
        self._characters = KnownCharacters(chains, submissions)
        self._list = CharacterList(chains, submissions)

    async def chain(self, chain_id: str, tenant: str) -> ChainView:
        """Return a chain of this tenant.

        Raises:
            Refusal: 404, also for another tenant's chain.
        """
        chain = await self._chains.chain(chain_id)
        if chain is not None and chain.request is not None:
            view, owner = chain_view(chain), chain.tenant
        else:
            accepted = await self._submissions.get(chain_id)
            if accepted is None or not accepted.steps:
                raise chain_not_found(chain_id)
            view, owner = pending_chain_view(accepted), accepted.tenant
        if owner != tenant:
            raise chain_not_found(chain_id)
        return view

    async def character(self, character_id: str, tenant: str) -> CharacterView:
        """Return a character of this tenant, stored or accepted a moment ago.

        Raises:
            Refusal: 404, also for another tenant's character.
        """
        known = await self._characters.find(tenant, character_id)
        if known is None:
            raise character_not_found(character_id)
        return view_of_known(known)

    async def characters(self, query: PageQuery) -> CharacterPage:
        """Return a page of the tenant's characters, newest first."""
        return await self._list.page(query)


def chain_not_found(chain_id: str) -> Refusal:
    """Return the 404 for a chain that does not exist or belongs to another tenant."""
    return Refusal(404, f"chain {chain_id} does not exist")


def character_not_found(character_id: str) -> Refusal:
    """Return the 404 for a character that does not exist or belongs to another tenant."""
    return Refusal(404, f"character {character_id} does not exist")
