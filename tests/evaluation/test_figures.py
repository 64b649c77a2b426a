import numpy as np
from PIL import Image

from mien.evaluation.evaluate import scores
from mien.evaluation.figures import confusion_matrix, reliability_diagram


def drawn_result():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 200)
    answers = rng.dirichlet(np.ones(8), 200) * 0.5 + np.eye(8)[labels] * 0.5
    about = {"model": "reader", "data": "ferplus:valid.parquet", "protocol": "majority", "masked": ["contempt"]}
    return about | scores(labels, answers[None], resamples=50)


def test_both_figures_are_pictures_with_something_on_them(tmp_path):
    for name, draw in (("confusion", confusion_matrix), ("reliability", reliability_diagram)):
        path = tmp_path / f"{name}.png"
        draw(drawn_result(), path)
        picture = np.asarray(Image.open(path).convert("L"))
        assert min(picture.shape) > 600
        assert (picture < 200).mean() > 0.02


def test_a_figure_of_the_same_result_has_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        confusion_matrix(drawn_result(), tmp_path / f"{name}.png")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
