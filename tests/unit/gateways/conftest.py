"""What most of these tests begin with."""

import pytest

from tests.fakes.ledger import GatewayBench


@pytest.fixture
def bench() -> GatewayBench:
    return GatewayBench(submit_timeout=5.0, grace=60.0, not_taken_tries=3)
