import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"
# What a newcomer must be able to read where a question leads.
ANSWERS = {
    "How do I install it, and what does it need?": "pip install .",
    "How do I read one photo?": "mien analyze photo.jpg -o report.html",
    "How do I get a table of a folder of pictures?": "mien analyze study/ -o faces.csv",
    "How do I get AU12 for each second of my clip?": "--fps 1",
    "What does each column mean?": "| `AU01` ... `AU43` | intensity",
    "What does 0.6 mean?": "about six of ten people would choose this word",
    'Why "expression" and not "emotion"?': "| mien measures | mien does not measure |",
    "How sure is the model, and how was that measured?": "accuracy 88.9 % [87.7, 90.0]",
    "What is AU12?": "AU12 pulls the lip corners up",
    "Are the action units as good as a human coder's?": "not from human FACS coders",
    "Why is a face missing?": "`--threshold 0.5`",
    "May I use this on job applicants?": "Do not use it on job applicants",
    "Do my pictures leave this computer?": "Pictures never leave your computer unless you name a server",
    "Does it tell age, gender or race?": "mien asks for them only on request",
    "What happens to a broken file in a study?": "An unreadable file is a row with the cause",
    "How do I get OpenFace's columns?": "`--columns openface`",
    "How do I call it from Python?": 'mien.analyze("photo.jpg"',
    "How do I call it from another language?": "curl --data-binary @photo.jpg",
    "How do I train on my own faces?": "mien train vtff --data",
    "How do I know that one model is better than another?": "the interval is that of the difference",
    "How do I cite it, and under which licence is it?": "Code and weights: Apache-2.0",
}


def anchor(heading: str) -> str:
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def section(place: str) -> str:
    """The text of a page, or of the section that an anchor names, in one line."""
    page, _, wanted = place.partition("#")
    text = (DOCS / page).read_text(encoding="utf-8")
    if wanted:
        found = [m for m in re.finditer(r"^(#+) (.*)$", text, re.MULTILINE) if anchor(m[2]) == wanted]
        assert found, f"{place} names no heading"
        rest = text[found[0].end() :]
        text = re.split(rf"^#{{1,{len(found[0][1])}}} ", rest, maxsplit=1, flags=re.MULTILINE)[0]
    return " ".join(text.split())


def test_every_question_of_the_page_has_its_answer_here():
    asked = re.findall(r"^\| (.*\?) \| \[", (DOCS / "questions.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert asked == list(ANSWERS)


@pytest.mark.parametrize("question", ANSWERS)
def test_the_place_that_a_question_leads_to_answers_it(question):
    page = (DOCS / "questions.md").read_text(encoding="utf-8")
    (place,) = re.findall(rf"^\| {re.escape(question)} \| \[.*?\]\((.*?)\)", page, re.MULTILINE)
    assert ANSWERS[question] in section(place)
