"""Fixtures of the gateway's unit tests."""

import pytest

from tests.fakes.ledger import GatewayHarness


@pytest.fixture
def harness() -> GatewayHarness:
    return GatewayHarness(submit_timeout=5.0, grace_period=60.0, max_submit_tries=3)
