"""One Pipeline, any number of threads, equal answers."""

from concurrent.futures import ThreadPoolExecutor

from mien.core.pipeline import Pipeline
from tests.helpers import ASTRONAUT


def test_one_pipeline_in_many_threads_gives_equal_answers():
    pipeline = Pipeline()
    alone = pipeline(ASTRONAUT).to_dict()
    with ThreadPoolExecutor(8) as pool:
        assert all(report.to_dict() == alone for report in pool.map(pipeline, [ASTRONAUT] * 24))
