"""Signatures of Fal: by a published key, recent; everything else is a forgery."""

import asyncio
from typing import Any

import httpx
import pytest

from services.gateways.fal.signatures import (
    KEYS_SECONDS,
    REFETCH_SECONDS,
    RETRY_SECONDS,
    SKEW_SECONDS,
    KeysUnavailable,
    NotFromFal,
    verify,
)
from tests.fakes.fal import SENT_AT, VECTOR, Fal


@pytest.fixture
def fal() -> Fal:
    return Fal()


async def test_the_recorded_webhook_is_fals() -> None:
    fal = Fal()
    fal.published = VECTOR["jwks"]
    headers, body = httpx.Headers(VECTOR["headers"]), VECTOR["body"].encode()
    assert await verify(headers, body, fal.keys, SENT_AT) == ("RID", "user-1")
    with pytest.raises(NotFromFal):
        await verify(headers, body + b" ", fal.keys, SENT_AT)


@pytest.mark.parametrize("late", [SKEW_SECONDS + 1, -SKEW_SECONDS - 1])
async def test_a_webhook_of_another_time_is_refused_although_its_signature_holds(fal: Fal, late: int) -> None:
    headers = httpx.Headers(fal.signed(b"{}", at=SENT_AT))
    await verify(headers, b"{}", fal.keys, SENT_AT + (SKEW_SECONDS if late > 0 else -SKEW_SECONDS))
    with pytest.raises(NotFromFal, match="time"):
        await verify(headers, b"{}", fal.keys, SENT_AT + late)


@pytest.mark.parametrize("name", ["Request-Id", "User-Id", "Timestamp", "Signature"])
@pytest.mark.parametrize("value", ["", "0", "9" * 20, "zz", "é", "0x10"])
async def test_every_signed_header_counts(fal: Fal, name: str, value: str) -> None:
    await fal.verify()
    with pytest.raises(NotFromFal):
        await fal.verify(**{f"X-Fal-Webhook-{name}": value})


async def test_keys_are_kept_for_a_day(fal: Fal) -> None:
    await fal.verify()
    fal.time += KEYS_SECONDS - 1
    await fal.verify()
    assert fal.asked == 1
    fal.time += 2
    await fal.verify()
    assert fal.asked == 2


async def test_a_new_key_of_fals_is_found_and_bad_signatures_do_not_make_us_ask_again(fal: Fal) -> None:
    await fal.verify()
    fal.rotate()
    for _ in range(5):
        with pytest.raises(NotFromFal):
            await fal.verify()
    assert fal.asked == 1, "the keys were read a moment ago"
    fal.published = fal.jwks
    fal.time += REFETCH_SECONDS
    await fal.verify()
    await fal.verify()
    assert fal.asked == 2


async def test_a_signature_is_not_rejected_while_keys_are_unavailable(fal: Fal) -> None:
    fal.away = True
    for _ in range(5):
        with pytest.raises(KeysUnavailable):
            await fal.verify()
    assert fal.asked == 1, "at most once a second"
    fal.away = False
    fal.time += RETRY_SECONDS
    await fal.verify()
    fal.away = True
    await fal.verify()
    fal.rotate()
    fal.time += REFETCH_SECONDS
    with pytest.raises(KeysUnavailable):
        await fal.verify()
    with pytest.raises(KeysUnavailable):
        await fal.verify()
    assert fal.asked == 3


@pytest.mark.parametrize("keys", [7, [], [7], [{"kty": "OKP", "crv": "Ed25519", "x": "short"}], [{"kty": 1}]])
async def test_a_key_set_without_a_usable_key_is_no_key_set(fal: Fal, keys: Any) -> None:
    fal.published = {"keys": keys}
    with pytest.raises(KeysUnavailable):
        await fal.verify()


async def test_many_webhooks_at_once_ask_for_the_keys_once(fal: Fal) -> None:
    await asyncio.gather(*(fal.verify() for _ in range(20)))
    assert fal.asked == 1
