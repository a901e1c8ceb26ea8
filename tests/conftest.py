"""Tests that need Apache Kafka run where KAFKA says so."""

import pytest

from deploy.local.brokers import Broker

ELSEWHERE = "needs Apache Kafka: make test-kafka"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if Broker.of(None, None).kind != "apache":
        for item in items:
            if item.get_closest_marker("apache"):
                item.add_marker(pytest.mark.skip(reason=ELSEWHERE))
