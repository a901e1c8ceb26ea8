"""Limits of the rules agree with the lease that they assume."""

from services.gateways.runtime.lifecycle.limits import ProviderLimits
from services.gateways.runtime.lifecycle.submitting import LEASE_MARGIN
from shared.mongo.leases import LEASE_SECONDS


def test_the_rules_assume_the_lifetime_of_a_real_lease() -> None:
    assert ProviderLimits().lease_seconds == LEASE_SECONDS
    assert 0 < LEASE_MARGIN < LEASE_SECONDS
