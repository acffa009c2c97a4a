"""Requests drawn from the description of the interface: none of them makes the server fail."""

import pytest
from hypothesis import HealthCheck, given, settings

ROUTES = ("/v1/entities", "/v1/redact", "/gliner", "/pooling")


@pytest.fixture(scope="module")
def checks(needs):
    """All that an answer must have; a few rules about fields are not in the description."""
    generic = needs("schemathesis.checks")
    described = needs("schemathesis.openapi.checks") and needs("schemathesis.specs.openapi.checks")
    return [
        generic.not_a_server_error,
        described.status_code_conformance,
        described.content_type_conformance,
        described.response_schema_conformance,
    ]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
@pytest.mark.parametrize("path", ROUTES)
def test_drawn_requests_get_answers_as_described(needs, app, checks, path, mode):
    package = needs("schemathesis")
    schema = package.openapi.from_asgi("/openapi.json", app)
    [operation] = (found.ok() for found in schema.include(path=path).get_all_operations())
    statuses = set()

    @settings(
        max_examples=60,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=package.GenerationMode[mode]))
    def check(case):
        response = case.call()
        case.validate_response(response, checks=checks)
        statuses.add(response.status_code)

    check()
    assert statuses & ({200} if mode == "POSITIVE" else {400, 415, 422})
