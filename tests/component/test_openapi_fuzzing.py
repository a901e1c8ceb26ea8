"""Requests generated from the OpenAPI document of the api.

None makes the service fail, an invalid one is never accepted, and every answer is as documented.
"""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fakes.api import ApiHarness

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
pytestmark = pytest.mark.hypothesis  # runs with the properties, not with the quick tests
document = schemathesis.openapi.from_asgi("/openapi.json", ApiHarness().app)


@document.parametrize()
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_generated_requests_are_answered_as_documented(case: schemathesis.Case[Any]) -> None:
    ApiHarness()
    case.call_and_validate(checks=CHECKS)
