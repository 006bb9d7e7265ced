"""The API against its own OpenAPI document, with right and wrong requests that schemathesis makes up."""

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import positive_data_acceptance

from clearair.apps.server import documents
from clearair.apps.server.schemas import Inspected, JobState, Problem
from tests.apps.server.serving import noisy

OPERATIONS = (
    ("POST", "/v1/restore"),
    ("POST", "/v1/inspect"),
    ("POST", "/v1/jobs"),
    ("GET", "/v1/jobs/{job_id}"),
    ("DELETE", "/v1/jobs/{job_id}"),
    ("GET", "/v1/jobs/{job_id}/events"),
    ("GET", "/v1/jobs/{job_id}/result"),
    ("GET", "/v1/jobs/{job_id}/previews/{name}"),
    ("GET", "/v1/models"),
    ("GET", "/healthz"),
    ("GET", "/readyz"),
    ("GET", "/metrics"),
)


@pytest.fixture(scope="module")
def document(server):
    return schemathesis.openapi.from_url(f"{server.address}/openapi.json")


def test_every_route_is_in_the_document(document):
    found = {(each.ok().method.upper(), each.ok().path) for each in document.get_all_operations()}
    assert found == set(OPERATIONS)


def test_examples_fit_what_they_stand_for():
    for route in ("inspect", "create", "state"):
        for answer in getattr(documents, route.upper())["responses"].values():
            for kind, content in answer["content"].items():
                example = content.get("example")
                if example is None:
                    continue
                model = {"inspect": Inspected}.get(route, JobState) if kind == "application/json" else Problem
                assert model(**example).model_dump(mode="json") == example


def check(operation, mode: GenerationMode, body: bytes | None = None, examples: int = 12) -> None:
    """Send what is made up for an operation, with this body instead of random bytes, and check the answers.

    That everything that fits the document is accepted is not checked: random bytes are no picture, and
    random words no kinds of damage.
    """
    excluded = [positive_data_acceptance]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck))
    def send(case):
        if body is not None:
            case.body = body
        if mode is GenerationMode.POSITIVE:
            case.query.pop("timeout", None)  # one too short is answered with 504, as it should be
        case.call_and_validate(excluded_checks=excluded)

    send()


@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=map(" ".join, OPERATIONS))
def test_answers_are_what_the_document_says(document, method, path):
    check(document[path][method], GenerationMode.POSITIVE)


@pytest.mark.parametrize(("method", "path"), OPERATIONS[:3], ids=map(" ".join, OPERATIONS[:3]))
def test_wrong_requests_are_refused_as_the_document_says(document, method, path):
    check(document[path][method], GenerationMode.NEGATIVE)


@pytest.mark.parametrize(("method", "path"), OPERATIONS[:3], ids=map(" ".join, OPERATIONS[:3]))
def test_a_picture_is_answered_whatever_the_options(document, method, path):
    check(document[path][method], GenerationMode.POSITIVE, noisy(24, 32))
