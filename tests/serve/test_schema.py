"""Random requests, right and wrong, made from the description that /openapi.json publishes."""

import pytest
from hypothesis import HealthCheck, given, settings

from mien.core.pipeline import Pipeline

pytest.importorskip("fastapi")
pytest.importorskip("multipart")
schemathesis = pytest.importorskip("schemathesis")

from schemathesis import GenerationMode, checks  # noqa: E402

from mien.serve.app import create_app  # noqa: E402
from mien.serve.limits import ServerLimits  # noqa: E402

schemathesis.serializer.alias("application/x-ndjson", "text/plain")
CHECKS = (
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
)


@pytest.fixture(scope="module")
def described(tmp_path_factory):
    limits = ServerLimits(clips=10_000, clips_waiting=10_000)
    app = create_app(Pipeline(), openai=True, limits=limits, hosts=["*"], clips=tmp_path_factory.mktemp("clips"))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


def test_no_request_makes_the_server_fail_and_every_answer_is_as_described(described):
    asked = set()
    for operation in (result.ok() for result in described.get_all_operations()):
        right, wrong = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

        @given(right | wrong)
        @settings(
            max_examples=12, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
        )
        def ask(case):
            case.call_and_validate(checks=CHECKS)

        ask()
        asked.add(operation.label)
    assert len(asked) == 17
