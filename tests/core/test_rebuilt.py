import inspect
import multiprocessing
import os
import pickle
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

from mien.core.contract import Classifier
from mien.core.detect import YuNet, whole_picture
from mien.core.images import read_image
from mien.core.pipeline import Pipeline
from mien.core.reader import Reader
from mien.core.visibility import detector
from mien.core.zoo import load
from mien.methods.expllm.small.generate import Explainer
from tests.helpers import ASTRONAUT, noise


def answers(report):
    return [(face.box.tolist(), face.expression.probabilities.tolist(), face.hidden) for face in report.faces]


def read(pipeline):
    return answers(pipeline(ASTRONAUT))


def test_a_pipeline_is_pickled_as_what_it_was_made_with_and_answers_the_same():
    pipeline = Pipeline(model="vtff", threshold=0.6, threads=2)
    pickled = pickle.dumps(pipeline)
    assert len(pickled) < 1000
    assert read(pickle.loads(pickled)) == read(pipeline)


@pytest.mark.parametrize("make", [YuNet, detector, lambda: Reader("vtff"), lambda: Classifier(load("reader"))])
def test_detectors_and_readers_can_be_pickled(make):
    image, crops = read_image(ASTRONAUT), noise(3, 48, 48)

    def answer(made):
        if isinstance(made, YuNet):
            return [face.box.tolist() for face in made(image)]
        if isinstance(made, Reader):
            return [reading.expression.probabilities.tolist() for reading in made(crops)]
        return made.logits(crops).tolist()

    made = make()
    assert answer(pickle.loads(pickle.dumps(made))) == answer(made)


def test_an_explainer_can_be_pickled():
    explainer = Explainer()
    again = pickle.loads(pickle.dumps(explainer))
    assert np.array_equal(
        again.label(noise(48, 48)).expression.probabilities, explainer.label(noise(48, 48)).expression.probabilities
    )


def test_a_function_of_the_user_s_is_pickled_as_it_is():
    assert pickle.loads(pickle.dumps(Pipeline(detect=whole_picture))).detect is whole_picture
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(Pipeline(detect=lambda image: []))


def test_the_signature_is_still_shown():
    assert list(inspect.signature(Pipeline).parameters)[:3] == ["detect", "read", "model"]


@pytest.mark.parametrize("start", ["spawn", "fork"])
def test_a_pipeline_goes_along_into_other_processes(start):
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip("not on this system")
    pipeline = Pipeline(threads=2)
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(start)) as pool:
        assert pool.submit(read, pipeline).result(timeout=300) == read(pipeline)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="not on this system")
def test_a_pipeline_that_has_been_used_answers_in_a_child_that_was_forked():
    pipeline = Pipeline(threads=2)
    expected = read(pipeline)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    child = context.Process(target=lambda: theirs.send(read(pipeline)))
    child.start()
    assert ours.poll(300), "the child hangs"
    assert ours.recv() == expected
    child.join(60)
    assert child.exitcode == 0
    assert read(pipeline) == expected
