import numpy as np
from PIL import Image

from mien.evaluation.figures import confusion_matrix, differences, reliability_diagram
from mien.evaluation.scoring import scores


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


def test_differences_have_a_row_a_question_and_a_panel_a_metric(tmp_path):
    def entry(question, metric, value, answer):
        bounds = {"value": value, "low": None, "high": None}
        if value is not None:
            bounds |= {"low": value - 0.01, "high": value + 0.01}
        return {"question": f"{question} ({metric})", "metric": metric, "seeds": [0, 1], "answer": answer} | bounds

    asked = [
        entry(question, metric, value, answer)
        for question, value, answer in (("Is it better?", 0.03, "higher"), ("Is it worse?", None, "undecided"))
        for metric in ("accuracy", "macro_f1")
    ]
    about = {"method": "vtff", "valid": "ferplus:valid.parquet", "protocol": "majority", "n": 9}
    differences(about | {"questions": asked}, tmp_path / "two.png")
    differences(about | {"questions": asked[::2]}, tmp_path / "one.png")
    two, one = (np.asarray(Image.open(tmp_path / name).convert("L")) for name in ("two.png", "one.png"))
    assert two.shape[1] > one.shape[1] > 900
    assert (two < 200).mean() > 0.005
