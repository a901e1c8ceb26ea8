"""The list of characters over a real MongoDB: every character once, in order, stored or not."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import pytest_asyncio
from pydantic import SecretStr

from contracts.characters import Character, character_key
from contracts.http_chains import CharacterCreation
from deploy.local.stack import Stack
from services.api.character_list import CharacterList
from services.api.domain import Caller, accept_creation
from services.api.ports import PageQuery
from services.api.store import SUBMISSION_INDEXES, MongoChainStore, MongoSubmissions
from services.characters.__main__ import INDEXES
from shared import mongo
from shared.clock import now
from shared.mongo import Database
from shared.settings import MongoSettings
from tests.fakes.characters import a_character_record

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="module")]

ANN = Caller(tenant="acme", user_id="ann")
MIA = CharacterCreation(character=Character(name="Mia", age=27))


@pytest_asyncio.fixture(loop_scope="module")
async def database(servers: Stack) -> AsyncIterator[Database]:
    settings = MongoSettings(url=SecretStr(servers.environment["MONGO_URL"]), database="character_list")
    async with mongo.connect(settings) as connected:
        await mongo.ensure_indexes(connected["submissions"], *SUBMISSION_INDEXES)
        await mongo.ensure_indexes(connected["characters"], *INDEXES)
        yield connected


async def test_every_character_is_listed_once_in_order_and_found_stored_once(database: Database) -> None:
    submissions = MongoSubmissions(database["submissions"])
    listing = CharacterList(MongoChainStore(database["chains"], database["characters"]), submissions)
    start, expected = now(), []
    for n in range(20):
        name, at = f"char-{n:02}", start + timedelta(seconds=n // 3)  # three with each time
        accepted, _ = accept_creation(name, MIA, ANN, key=None, now=at)
        assert await submissions.add(accepted, {"at": at, "messages": []})
        if n % 2:
            record = a_character_record(character_id=name, created_at=at)
            document = {"_id": character_key("acme", name), **record.model_dump()}
            await database["characters"].insert_one(document)
        expected.append((name, "stored" if n % 2 else "pending"))
    found, query = [], PageQuery(tenant="acme", limit=3)
    while True:
        page = await listing.page(query)
        found += [(view.id, view.state) for view in page.characters]
        if page.next_cursor is None:
            break
        last = page.characters[-1]
        query = query.model_copy(update={"before": (last.created, last.id)})
    assert found == expected[::-1]
    assert await database["submissions"].count_documents({"character_pending": True}) == 10
    assert (await listing.page(PageQuery(tenant="other", limit=3))).characters == ()
