"""A trained model, for the tests that need one: trained once, where transformers is installed."""

import pytest

from tests.methods.expllm import tiny

COUNT = 64


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The model that `train` returned, and the folder of its run."""
    reason = "the model is made of classes of transformers: pip install 'mien[llm]'"
    pytest.importorskip("transformers", reason=reason)
    from mien.methods.expllm.small.train import train

    folder = tmp_path_factory.mktemp("expllm")
    chains = tiny.write_chains(folder / "cot.jsonl", COUNT)
    faces = tiny.samples(COUNT)
    return train(faces, tiny.settings(), folder / "run", valid=faces, chains=chains), folder / "run"
