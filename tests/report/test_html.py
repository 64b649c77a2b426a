import base64
import dataclasses
import hashlib
import io
import json
import re
import subprocess
import sys
import weakref
from dataclasses import replace
from html.parser import HTMLParser

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import mien
from mien.core.images import read_image
from mien.errors import InputError
from mien.facs.observation import Hidden, Pose
from mien.facs.vocabulary import CAVEAT, ActionUnit, Attribute, Expression
from mien.report.card import divided, pose_in_words
from mien.report.heat import STRENGTH
from mien.report.html import LARGE, PageWriter, page
from mien.results.explanation import Effect, Explanation, Part, Phrase, Rejected
from mien.results.face import Face, FaceReport, ImageReport
from mien.results.outcome import Outcome
from mien.results.scan import Answer, AnswerStatus, Attributes
from tests.helpers import ASTRONAUT, bare_report, full_report, noise, scores, units

POINTS = np.array([[60, 50], [90, 50], [75, 65], [65, 80], [85, 80]], np.float32)
HAPPY = {Expression.HAPPINESS: 0.97, Expression.NEUTRAL: 0.02, Expression.SURPRISE: 0.01}
UNSURE = {Expression.SADNESS: 0.44, Expression.FEAR: 0.31, Expression.NEUTRAL: 0.25}
VOID = {"meta", "img", "rect", "br", "link", "input"}
# A text that sees a smile, which was measured, and a wrinkled nose, which was not.
EXPLAINED = Explanation(
    (
        Part("Key observations", "A big smile and a wrinkled nose.", (
            Phrase(6, 11, ActionUnit.LIP_CORNER_PULLER, "both", "pronounced", True, 0.8, ""),
            Phrase(18, 31, ActionUnit.NOSE_WRINKLER, "both", None, True, 0.0, "measured as absent"),
        )),
        Part("Overall interpretation", "It is a smile."),
        Part("Conclusion", "On the whole, the face is best read as happiness."),
    ),
    scores(HAPPY), Expression.HAPPINESS, "reason-first", "expllm",
)  # fmt: skip
BREAKING_OUT = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)><!--&amp;.jpg"


# What a page tells of it as of any path: its last name.
NAME = BREAKING_OUT.rpartition("/")[2]


def a_face(
    *box: float, given: dict[Expression, float] = HAPPY, points: NDArray[np.float32] | None = POINTS
) -> FaceReport:
    return bare_report(Face(np.array(box or (50, 30, 100, 95), np.float32), points, 0.876), scores(given))


def an_outcome(*faces: FaceReport, name: str = "photo.jpg", model: str = "reader") -> Outcome:
    image = np.full((150, 200, 3), 120, np.uint8)
    return Outcome(name, ImageReport((150, 200), faces, model), image=image)


def a_photo(*faces: FaceReport) -> Outcome:
    """The astronaut, with faces whose reader said more than the expression."""
    return Outcome("astronaut.png", ImageReport((512, 512), faces, "a reader"), image=read_image(ASTRONAUT))


def heat_of(source: str) -> NDArray[np.float64]:
    """The heat map of a page with one, (H, W, 4) RGBA from 0 to 1."""
    (image,) = Page(source).of_class("heat")
    file = io.BytesIO(base64.b64decode(image["src"].split(",")[1]))
    return np.asarray(Image.open(file).convert("RGBA")) / 255


class Page(HTMLParser):
    """The page as a browser takes it apart: elements with their attributes, text, and what was left open."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.contents: dict[str, list[str]] = {}
        self.feed(source)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.contents.setdefault(self.open[-1] if self.open else "", []).append(data)

    @property
    def text(self) -> str:
        """What a reader sees, with single spaces."""
        seen = [part for tag, parts in self.contents.items() if tag not in ("script", "style") for part in parts]
        return " ".join(" ".join(seen).split())

    def all(self, name: str) -> list[dict[str, str]]:
        return [attributes for tag, attributes in self.elements if tag == name]

    def of_class(self, name: str) -> list[dict[str, str]]:
        return [attributes for _, attributes in self.elements if name in attributes.get("class", "").split()]


def cards(source: str) -> list[str]:
    """The text of each card."""
    found = re.findall(r"<article.*?</article>", source, re.S)
    return [" ".join(re.sub(r"<[^>]+>", " ", card).split()) for card in found]


def reports(source: str) -> list[dict[str, object]]:
    """What "Copy JSON" copies."""
    data = re.search(r'<script type="application/json" id="reports">(.*?)</script>', source, re.S)
    assert data is not None
    assert "<" not in data[1], "this could end the script element"
    return json.loads(data[1])


def test_the_page_refers_to_nothing_outside_itself():
    source = page(
        [an_outcome(a_face()), an_outcome(name="http://example.com/a.jpg"), a_photo(full_report())],
        "mien analyze http://example.com",
    )
    for tag, attributes in Page(source).elements:
        for name, value in attributes.items():
            if name in ("src", "href", "srcset", "poster", "action", "data", "xlink:href"):
                assert value.startswith(("data:image/jpeg;base64,", "data:image/png;base64,", "#")), (
                    tag,
                    name,
                    value[:80],
                )
    assert not Page(source).all("link")
    assert "url(" not in source
    assert "@import" not in source
    script = "".join(Page(source).contents["script"])
    assert not re.search(r"fetch\(|XMLHttpRequest|WebSocket|sendBeacon|import\(|eval\(", script)


@pytest.mark.parametrize("full", [False, True])
def test_its_policy_allows_only_its_own_style_and_script(full: bool):
    source = page([a_photo(full_report()) if full else an_outcome(a_face())])
    policy = next(m["content"] for m in Page(source).all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy
    for tag in ("style", "script"):
        inline = re.search(rf"<{tag}>(.*?)</{tag}>", source, re.S)
        assert inline is not None
        digest = base64.b64encode(hashlib.sha256(inline[1].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    # Which is why nothing may carry a style or a handler of its own.
    assert not [a for _, a in Page(source).elements for name in a if name == "style" or name.startswith("on")]


def test_every_element_is_closed_and_every_id_is_unique_and_every_link_leads_somewhere():
    entries = [an_outcome(a_face(), a_face(120, 20, 180, 90)), an_outcome(a_face()), an_outcome()]
    parsed = Page(page([*entries, a_photo(full_report(), full_report(explanation=EXPLAINED)), a_photo(full_report())]))
    assert parsed.open == []
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for a in parsed.all("a")} <= set(ids)
    assert {word for _, a in parsed.elements for word in a.get("aria-labelledby", "").split()} <= set(ids)
    assert {label["for"] for label in parsed.all("label")} == {
        a["id"] for a in parsed.all("input") + parsed.all("select")
    }


@pytest.mark.parametrize("as_error", [False, True])
def test_a_name_that_is_script_is_only_text(as_error: bool):
    entry = (
        Outcome(BREAKING_OUT, error=InputError(BREAKING_OUT)) if as_error else an_outcome(a_face(), name=BREAKING_OUT)
    )
    plain = Outcome("a.jpg", error=InputError("b")) if as_error else an_outcome(a_face(), name="a.jpg")
    for entries, harmless in (([entry], [plain]), ([entry, entry], [plain, plain])):
        source = page(entries, f"mien analyze {BREAKING_OUT}")
        shape = [tag for tag, _ in Page(source).elements]
        assert shape == [tag for tag, _ in Page(page(harmless, "mien analyze a.jpg")).elements]
        assert NAME in Page(source).text
        assert reports(source)[0]["input"] == NAME


def test_a_name_that_is_not_unicode_can_still_be_written():
    source = page([an_outcome(name=b"caf\xe9\x01.jpg".decode("utf-8", "surrogateescape"))])
    assert source.encode("utf-8")
    assert "\x01" not in source


def test_every_number_of_every_face_is_on_its_card_and_those_below_one_percent_in_one_line():
    happy, unsure = cards(page([an_outcome(a_face(), a_face(120, 20, 180, 95, given=UNSURE, points=None))]))
    assert "happiness, 97 % next neutral, 2 %" in happy
    assert "neutral 2 % happiness 97 % surprise 1 % sadness, anger, disgust, fear, contempt: below 1 % each" in happy
    assert "sadness, 44 % next fear, 31 %" in unsure
    assert "neutral 25 % sadness 44 % fear 31 % happiness, surprise, anger, disgust, contempt: below 1 % each" in unsure
    assert "Detector score 0.88" in happy
    assert "50 × 65 px" in happy
    assert "60 × 75 px" in unsure
    assert "five points" in happy
    assert "box" in unsure


def test_a_second_expression_below_one_percent_is_not_called_the_next():
    source = page([an_outcome(a_face(given={Expression.FEAR: 0.997, Expression.ANGER: 0.003}))])
    assert "fear, &gt;99 %" in cards(source)[0]
    assert "next" not in cards(source)[0]
    assert Page(source).of_class("box")[0]["aria-label"] == "Face 1: fear, >99 %"
    markup = source.split("</style>")[1].split("<script>")[0]
    assert not re.search(r"<(?![a-z/])", markup)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(0.58, 0.41, True), (0.59, 0.35, True), (0.61, 0.39, False), (0.97, 0.02, False), (0.6, 0.4, False)],
)
def test_an_answer_is_divided_when_no_expression_stands_out(first: float, second: float, expected: bool):
    given = {Expression.SADNESS: first, Expression.FEAR: second, Expression.ANGER: 1 - first - second}
    assert divided(scores(given)) == expected
    card = cards(page([an_outcome(a_face(given=given))]))[0]
    assert (f"Divided: sadness, {100 * first:.0f} %, or fear, {100 * second:.0f} %." in card) == expected


def test_a_bar_is_as_long_as_its_probability():
    card = page([an_outcome(a_face(given=UNSURE))]).split("<article")[1]
    lengths = re.findall(r'<svg class="(\w+)".*?<rect class="value" width="([\d.]+)"', card)
    assert dict(lengths) == {"neutral": "25.00", "sadness": "44.00", "fear": "31.00"}


def test_only_small_faces_and_unclear_expressions_carry_a_warning():
    def notes(*box: float, given: dict[Expression, float]) -> str:
        card = cards(page([an_outcome(a_face(*box, given=given))]))[0]
        return " and ".join(w for w in ("Small face: read with care", "No expression stands out") if w in card)

    assert notes(50, 30, 86, 80, given=HAPPY) == ""
    assert notes(50, 30, 85, 80, given=HAPPY) == "Small face: read with care"
    assert notes(50, 30, 90, 80, given=UNSURE) == "No expression stands out"
    assert notes(50, 30, 60, 45, given=UNSURE) == "Small face: read with care and No expression stands out"


def test_boxes_lie_over_the_picture_in_its_own_pixels_and_link_to_their_cards():
    source = page([an_outcome(a_face(), a_face(120, 20, 180, 90))])
    parsed = Page(source)
    assert '<svg viewBox="0 0 200 150"' in source
    edge = parsed.of_class("edge")[1]
    assert [float(edge[k]) for k in ("x", "y", "width", "height")] == [120, 20, 60, 70]
    boxes, articles = parsed.of_class("box"), parsed.of_class("card")
    assert [box["href"] for box in boxes] == [f"#{card['id']}" for card in articles]
    assert boxes[0]["aria-label"] == "Face 1: happiness, 97 %; next neutral, 2 %"


def test_the_picture_is_embedded_at_most_1280_pixels_long_with_one_thumbnail_a_face():
    image = np.zeros((1000, 2560, 3), np.uint8)
    source = page(
        [Outcome("wide.png", ImageReport((1000, 2560), (a_face(), a_face(2500, 900, 2600, 1050))), image=image)]
    )
    files = [base64.b64decode(img["src"].split(",")[1]) for img in Page(source).all("img")]
    sizes = [Image.open(io.BytesIO(file)).size for file in files]
    assert sizes[0] == (1280, 500)
    assert len(sizes) == 3
    assert max(max(size) for size in sizes[1:]) <= 144


def test_a_photo_of_pure_noise_stays_under_a_megabyte_and_a_half():
    photo = noise(1280, 1280, 3)  # as large as it is embedded: nothing is averaged away
    report = ImageReport((1280, 1280), tuple(a_face(x, 100, x + 80, 200) for x in range(0, 1000, 100)))
    assert len(page([Outcome("noise.png", report, image=photo)])) < 1_500_000
    attentive = full_report(
        attention=noise(12, 12) / 255,
        face=Face(np.array([0, 0, 1280, 1280], np.float32), None, 0.9),
        crop=np.array([[1 / 1280, 0, 0], [0, 1 / 1280, 0]]),
    )
    report = ImageReport((1280, 1280), (attentive,) * 10)
    assert len(page([Outcome("noise.png", report, image=photo)])) < 1_500_000
    large = np.repeat(np.repeat(noise(1500, 2000, 3), 2, axis=0), 2, axis=1)
    assert len(page([Outcome("noise.png", ImageReport((3000, 4000), (a_face(),)), image=large)])) < 1_500_000


def test_a_crowd_stays_under_a_megabyte_and_a_half_too():
    crowd = tuple(
        replace(full_report(), face=Face(np.array([x, y, x + 80, y + 80], np.float32), None, 0.9))
        for x in range(0, 1000, 100)
        for y in range(0, 1000, 100)
    )
    photo = cv2.GaussianBlur(noise(1280, 1280, 3), (0, 0), 1.5)
    assert len(page([Outcome("crowd.png", ImageReport((1280, 1280), crowd), image=photo)])) < 1_500_000


def test_a_failed_input_shows_its_reason_among_the_others():
    parsed = Page(
        page([an_outcome(a_face()), Outcome("broken.jpg", error=InputError("the picture is damaged or cut off"))])
    )
    assert "broken.jpg" in parsed.text
    assert "the picture is damaged or cut off" in parsed.text
    assert len(parsed.of_class("card")) == 1


def test_a_picture_without_faces_gets_advice_and_one_with_faces_does_not():
    advice = ("--rotations always", "--max-side 1280", "--threshold 0.5")
    without, with_face = Page(page([an_outcome()])).text, Page(page([an_outcome(a_face())])).text
    assert all(words in without for words in advice)
    assert not any(words in with_face for words in advice)


def test_a_face_that_few_could_read_is_headed_unclear_and_not_by_its_expression():
    unread = dataclasses.replace(a_face(), readability=0.3)
    source = page([an_outcome(unread)])
    heading = re.search(r'<h3 id="p1-f1-title">.*?</h3>', source, re.S)[0]
    assert "unclear" in heading
    assert "%" not in heading
    assert "about 3 of ten people could read this face" in Page(source).text
    read = page([an_outcome(dataclasses.replace(a_face(), readability=0.5))])
    assert "unclear" not in re.search(r'<h3 id="p1-f1-title">.*?</h3>', read, re.S)[0]


def index_of(source: str) -> list[str]:
    """The items of the index."""
    return re.findall(r"<li data-.*?</li>", source, re.S)


def test_several_pictures_are_an_index_of_thumbnails_that_each_lead_to_their_entry():
    source = page([an_outcome(a_face(), name="x/a.jpg"), an_outcome(name="b.jpg"), an_outcome(*[a_face()] * 2)])
    items = index_of(source)
    assert [re.search(r'href="#(p\d)"', item)[1] for item in items] == ["p1", "p2", "p3"]
    assert all('<img src="data:image/jpeg;base64,' in item for item in items)
    shown = [" ".join(re.sub(r"<[^>]+>", " ", item).split()) for item in items]
    assert shown == ["a.jpg 1 face: happiness", "b.jpg no face", "photo.jpg 2 faces: 2 happiness"]
    assert not index_of(page([an_outcome(a_face())]))


def test_the_index_can_be_filtered_by_what_is_in_the_pictures_and_sorted():
    failed = Outcome("broken.jpg", error=InputError("damaged"))
    source = page([an_outcome(a_face()), an_outcome(a_face(), a_face(given=UNSURE)), an_outcome(), failed])
    kinds = [re.search(r'data-kinds="(.*?)"', item)[1] for item in index_of(source)]
    assert kinds == ["happiness", "happiness sadness unclear", "no-face", "failed"]
    options = re.findall(r'<option value="(.+?)">(.*?)</option>', source)
    assert options[:5] == [
        ("happiness", "happiness (2)"),
        ("sadness", "sadness (1)"),
        ("unclear", "unclear or divided (1)"),
        ("no-face", "no face (1)"),
        ("failed", "failed (1)"),
    ]
    assert [name for name, _ in options[5:]] == ["name", "first", "sure"]
    assert 'data-sure="0.4400"' in index_of(source)[1]


def test_a_page_tells_no_folder_of_its_sender():
    entries = [
        an_outcome(a_face(), name="/home/ada/study/a.jpg", model="/home/ada/own.onnx"),
        Outcome("/home/ada/b.jpg", error=InputError("/home/ada/b.jpg: there is no such file", "missing")),
    ]
    command = "mien analyze /home/ada/study/ '/home/ada/my b.jpg' --model=/home/ada/own.onnx -o /home/ada/out.html"
    for given in (entries, entries[:1], entries[1:]):
        source = page(given, command)
        assert not re.search(r"\bada\b", re.sub(r"base64,[^\"]*", "", source))
        assert "mien analyze study &#x27;my b.jpg&#x27; --model=own.onnx -o out.html" in source
    assert "b.jpg: there is no such file" in source


def test_of_a_long_command_the_two_ends_are_shown():
    command = " ".join(["mien", "analyze", *(f"photos/{i}.jpg" for i in range(300)), "-o", "out.html"])
    assert "mien analyze 0.jpg 1.jpg 2.jpg" in (shown := Page(page([an_outcome(a_face())], command)).text)
    assert "298.jpg 299.jpg -o out.html" in shown
    assert "150.jpg" not in shown


def test_the_page_of_a_failure_speaks_of_no_model():
    text = Page(page([Outcome("broken.jpg", error=InputError("damaged"))])).text
    assert "The model " not in text.replace("The models", "")
    assert "Not named" not in text


def test_a_page_is_written_picture_by_picture_and_no_picture_is_kept():
    count, seen = 40, []

    def outcomes():
        for i in range(count):
            made = an_outcome(a_face(), name=f"{i}.jpg")
            seen.append(weakref.ref(made.image))
            yield made

    file = io.BytesIO()
    with PageWriter() as writer:
        for outcome in outcomes():
            writer.add(outcome)
            del outcome
            assert sum(one() is not None for one in seen) <= 2
        writer.write(file)
    assert file.getvalue().decode() == page(an_outcome(a_face(), name=f"{i}.jpg") for i in range(count))
    assert len(index_of(file.getvalue().decode())) == count
    assert len(file.getvalue()) < LARGE


def test_a_report_without_its_picture_still_shows_the_faces():
    source = page([Outcome("photo.jpg", an_outcome(a_face()).report)])
    assert "happiness, 97 %" in cards(source)[0]
    assert not Page(source).of_class("stage")


def test_what_is_copied_is_the_reports_with_the_names_of_their_inputs():
    entry = an_outcome(a_face(), name="a.jpg")
    assert entry.report is not None
    failed = Outcome("b.jpg", error=InputError("the file is empty", "unreadable"))
    assert reports(page([entry, failed])) == [entry.to_dict(), failed.to_dict()]
    assert reports(page([])) == []
    assert [report["status"] for report in reports(page([entry, failed]))] == ["ok", "unreadable"]


def test_the_page_says_which_model_and_version_and_command_made_it(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("mien.core.zoo.card", lambda model: ["first line of the card"] if model == "reader" else [])
    text = Page(page([an_outcome(a_face()), an_outcome(model="my/own.onnx")], "mien analyze a.jpg -o out.html")).text
    assert "first line of the card" in text
    assert "own.onnx" in text
    assert f"mien {mien.__version__}" in text
    assert "mien analyze a.jpg -o out.html" in text


def test_the_page_says_what_the_numbers_do_not_mean():
    text = Page(page([an_outcome(a_face())])).text
    assert "the share of people who would choose this word for this face" in text
    assert "not what the person feels" in text
    for word in ("hiring", "policing", "at work", "school", "EU AI Act", "48 pixels", "disgust and contempt"):
        assert word in text


def test_without_script_nothing_is_hidden_but_buttons_that_need_it():
    elements = Page(page([a_photo(full_report())])).elements
    hidden = [(tag, a.get("id") or a["class"]) for tag, a in elements if "hidden" in a]
    assert hidden == [("button", "theme"), ("p", "fade"), ("button", "copy")]
    # The heat map that the slider would fade is then shown as strong as the style says, which is where it starts.
    opacity = re.search(r"\.heat \{[^}]*opacity: ([\d.]+)", page([]))
    assert opacity is not None
    assert float(opacity[1]) == STRENGTH / 100


def test_a_page_is_made_without_torch():
    code = "import sys; sys.modules['torch'] = None; from mien.report.html import page; print(page([])[:15])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "<!DOCTYPE html>"


def test_the_action_units_for_and_against_are_on_the_card_strongest_first():
    (card,) = cards(page([a_photo(full_report())]))
    assert (
        "Action units that speak for happiness "
        "AU12 lip corner puller 0.80 extreme (E) stronger on the subject’s left "
        "AU6 cheek raiser 0.60 pronounced (D) inferred from other movements "
        "AU25 lips part 0.50 pronounced (D) "
        "Action units that speak against happiness "
        "AU4 brow lowerer 0.15 slight (B) All 21 action units"
    ) in card
    assert "Expected but absent" not in card


def test_the_bar_of_an_action_unit_is_as_long_as_its_intensity():
    source = page([a_photo(full_report())])
    assert re.findall(r'<rect class="(for|against)" width="([\d.]+)"', source) == [
        ("for", "80"), ("for", "60"), ("for", "50"), ("against", "15"),
    ]  # fmt: skip


def test_all_action_units_are_folded_away_below():
    source = page([a_photo(full_report())])
    folded = re.search(r"<details>(.*?)</details>", source, re.S)
    assert folded is not None
    assert folded[1].count("<tr") == 21
    active = re.findall(r'<tr class="active"><th scope="row">(AU\d+)', folded[1])
    assert active == ["AU4", "AU6", "AU7", "AU12", "AU25"], "those above trace"
    assert '<td>0.07</td><td id="p1-f1-AU14">trace</td>' in folded[1]


@pytest.mark.parametrize(
    ("e", "given", "said"),
    [
        (Expression.NEUTRAL, {}, "Action units None above trace, as is expected of a neutral face. All 21"),
        (Expression.NEUTRAL, {12: 0.3}, "that speak against neutral AU12 lip corner puller 0.30 moderate (C) All 21"),
        (
            Expression.FEAR,
            {},
            "for fear None above trace. Expected but absent: AU5 upper lid raiser, AU1 inner brow raiser",
        ),
        (Expression.SADNESS, {4: 0.5, 15: 0.07}, "Expected but absent: AU15 lip corner depressor (a trace)."),
    ],
)
def test_what_is_missing_is_said_too(e: Expression, given: dict[int, float], said: str):
    (card,) = cards(page([a_photo(full_report(expression=scores({e: 1}), action_units=units(given)))]))
    assert said in card
    assert ("Expected but absent" in card) == ("Expected but absent" in said)
    assert ("speak for neutral" in card) is False


def test_a_one_sided_mark_of_contempt_is_the_difference_between_the_sides():
    sneer = full_report(expression=scores({Expression.CONTEMPT: 1}), action_units=units({14: 0.5}, {14: -0.35}))
    (card,) = cards(page([a_photo(sneer)]))
    assert "AU14 dimpler 0.35 between the sides stronger on the subject’s right" in card


def test_a_reader_that_says_only_the_expression_gets_a_card_without_the_rest():
    source = page([a_photo(a_face())])
    text = Page(source).text
    for word in ("Action unit", "Heat map", "Landmarks", "Head", "Explanation", "FACS", "Not visible"):
        assert word not in text
    assert not Page(source).all("figcaption")
    assert not Page(source).of_class("heat")


def test_heat_and_slider_come_with_attention_and_dots_with_landmarks():
    def has(**given: object) -> list[bool]:
        parsed = Page(page([a_photo(full_report(**given))]))
        return [bool(parsed.of_class(name)) for name in ("heat", "fade", "landmarks", "dots")]

    assert has() == [True, True, True, True]
    assert has(attention=None) == [False, False, True, True]
    assert has(landmarks=None) == [True, True, False, False]


def test_the_heat_map_is_brightest_where_the_reader_looked_and_clear_elsewhere():
    attention = np.zeros((12, 12), np.float32)
    attention[3, 8] = 1
    face = full_report(attention=attention, crop=np.array([[1 / 240, 0, -0.5], [0, 1 / 240, -0.5]]))  # from 120 to 360
    heat = heat_of(page([a_photo(face)]))
    assert heat.shape == (512, 512, 4)
    brightest = np.unravel_index((heat[..., :3].sum(axis=2) * heat[..., 3]).argmax(), heat.shape[:2])
    assert brightest == (pytest.approx(120 + 240 * 3.5 / 12, abs=6), pytest.approx(120 + 240 * 8.5 / 12, abs=6))
    assert heat[250:, :, 3].max() == 0
    assert heat[..., 3].max() == 1


def test_the_heat_maps_of_all_faces_are_one_picture_of_their_maximum():
    def looking(row: int, column: int) -> FaceReport:
        attention = np.zeros((12, 12), np.float32)
        attention[row, column] = 1
        return full_report(attention=attention)

    apart, together = [looking(2, 2), looking(9, 9)], page([a_photo(looking(2, 2), looking(9, 9))])
    alone = [heat_of(page([a_photo(face)])) for face in apart]
    assert (heat_of(together)[..., 3] == np.maximum(alone[0][..., 3], alone[1][..., 3])).all()


def test_the_colours_of_the_heat_map_get_steadily_lighter():
    attention = np.tile(np.linspace(0, 1, 64, dtype=np.float32), (64, 1))
    heat = heat_of(page([a_photo(full_report(attention=attention, crop=np.array([[1 / 512, 0, 0], [0, 1 / 512, 0]])))]))
    row = heat[256]
    lightness = row[:, :3] ** 2.2 @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) >= -1e-3).all()
    assert (np.diff(row[:, 3]) >= 0).all()
    assert row[0, 3] == 0


def test_the_heat_map_of_a_large_picture_is_small():
    k = 8
    image = np.zeros((512 * k, 512 * k, 3), np.uint8)
    given = full_report()
    large = full_report(crop=given.crop / [k, k, 1])
    report = ImageReport(image.shape[:2], (large,), "reader")
    assert np.abs(heat_of(page([Outcome("l.png", report, image=image)])) - heat_of(page([a_photo(given)]))).max() < 0.05


def test_the_slider_is_labelled_and_a_picture_has_its_own():
    parsed = Page(page([a_photo(full_report()), a_photo(full_report())]))
    sliders = [field for field in parsed.all("input") if field["type"] == "range"]
    assert [field["id"] for field in sliders] == ["p1-fade", "p2-fade"]
    assert all(float(field["value"]) == STRENGTH for field in sliders)
    assert "Heat map" in parsed.text
    boxes = [field for field in parsed.all("input") if field["type"] == "checkbox"]
    assert not any("checked" in field for field in boxes), "landmarks are off at first"


def test_every_landmark_is_a_dot_at_its_place():
    (path,) = Page(page([a_photo(full_report())])).of_class("landmarks")
    dots = [(float(x), float(y)) for x, y in re.findall(r"M([\d.]+) ([\d.]+)h0", path["d"])]
    landmarks = full_report().landmarks
    assert landmarks is not None
    assert np.allclose(dots, landmarks, atol=0.051)


@pytest.mark.parametrize(
    ("pose", "words"),
    [
        (Pose(0, 0, 0), "facing the camera"),
        (Pose(-2.4, 2.4, 2.4), "facing the camera"),
        (Pose(12, 4, 3), "turned 12° to the image’s right, raised 4°, tilted 3° clockwise"),
        (Pose(-30, -8, -20), "turned 30° to the image’s left, lowered 8°, tilted 20° counterclockwise"),
        (Pose(0, 0, 90), "facing the camera, tilted 90° clockwise"),
        (Pose(1, -10, 0), "lowered 10°"),
    ],
)
def test_a_head_pose_is_said_in_words_and_degrees(pose: Pose, words: str):
    assert pose_in_words(pose) == words
    assert f"Head {words}" in cards(page([a_photo(full_report(pose=pose))]))[0]


@pytest.mark.parametrize(
    ("source", "said"), [("reader", "own 68 landmarks"), ("detector", "five points"), ("box", "not turned upright")]
)
def test_the_card_says_what_the_face_was_aligned_on(source: str, said: str):
    assert said in cards(page([a_photo(full_report(landmark_source=source))]))[0]


def test_what_is_not_visible_is_said_with_what_follows_from_it():
    left, right = Hidden("left", "turned away"), Hidden("right", "covered or unclear")
    (card,) = cards(page([a_photo(full_report(hidden=(left,)))]))
    assert "Not visible: the subject’s left half (turned away). Action units there are guesses." in card
    (card,) = cards(page([a_photo(full_report(hidden=(left, right)))]))
    assert "the subject’s left half (turned away) and the subject’s right half (covered or unclear)" in card
    (card,) = cards(page([a_photo(full_report(hidden=(left,), action_units=None))]))
    assert "Its values are guesses." in card


def explanation_of(source: str) -> str:
    section = re.search(r'<section class="explanation">(.*?)</section>', source, re.S)
    assert section is not None
    return section[1]


def test_an_explanation_is_shown_as_text_in_its_three_parts():
    parts = (Part("Key observations", BREAKING_OUT), *EXPLAINED.parts[1:])
    source = page([a_photo(full_report(explanation=replace(EXPLAINED, parts=parts)))])
    assert re.findall(r"<h5>(.*?)</h5>", explanation_of(source)) == [part.title for part in parts]
    assert BREAKING_OUT in Page(source).text


def test_every_phrase_about_an_action_unit_leads_to_its_measured_value_and_says_whether_that_supports_it():
    section = explanation_of(page([a_photo(full_report(explanation=EXPLAINED))]))
    supported, unsupported = re.findall(r"<a class=.*?</a>(?: <small>.*?</small>)?", section)
    assert supported.startswith(
        '<a class="supported" href="#p1-f1-AU12" '
        'aria-label="smile (AU12 lip corner puller: measured as written, 0.80)">smile<span class="peek"'
    )
    assert unsupported.startswith('<a class="unsupported" href="#p1-f1-AU09" aria-label="wrinkled nose (AU9 ')
    assert unsupported.endswith("</a> <small>(measured as absent)</small>")
    assert "A big <a" in section
    assert "1 of 2 mentions of action units are borne out" in section


def test_a_phrase_shows_the_bars_of_its_action_units_when_it_is_pointed_at():
    section = explanation_of(page([a_photo(full_report(explanation=EXPLAINED))]))
    bars = re.findall(r'<span class="peek" aria-hidden="true">(.*?)</span></span></a>', section)
    assert ["AU12 lip corner puller <b>0.80</b> extreme" in bars[0], 'width="80"' in bars[0]] == [True, True]
    assert "AU9 nose wrinkler <b>0.00</b> absent" in bars[1]


def test_sentences_that_were_taken_back_are_folded_away_with_the_reason():
    back = Rejected("Key observations", "A <frown>.", "absent", '"frown": measured as absent', "A big smile.")
    section = explanation_of(page([a_photo(full_report(explanation=replace(EXPLAINED, rejected=(back,))))]))
    assert "Taken back while it was written: 1 sentence<" in section
    assert "“A &lt;frown&gt;.” <small>&quot;frown&quot;: measured as absent</small>" in section
    assert "Taken back" not in explanation_of(page([a_photo(full_report(explanation=EXPLAINED))]))


def test_what_is_read_without_a_movement_stands_beside_two_pictures_and_says_that_it_tests_the_model():
    picture = np.full((8, 8, 3), 90, np.uint8)
    corners = (ActionUnit.LIP_CORNER_PULLER,)
    smile = Effect(
        corners, "lifted lip corners", Expression.HAPPINESS, -0.8, (0.8, 0.1), (0.97, 0.2), Expression.NEUTRAL, 0.7,
        pictures=(picture, picture),
    )  # fmt: skip
    untried = replace(smile, units=(ActionUnit.JAW_DROP,), phrase="a dropped jaw", refused="not in it", pictures=())
    section = explanation_of(page([a_photo(full_report(explanation=replace(EXPLAINED, effects=(smile, untried))))]))
    first, second = re.findall(r"<tr><th scope=\"row\">(.*?)</tr>", section)
    assert first.startswith("lifted lip corners <small>AU12</small>")
    assert first.count('<img src="data:image/jpeg;base64,') == 2
    assert "happiness 97 % → <b>20 %</b><br>neutral 70 %" in first
    assert "not tried: not in it" in second
    assert "This tests the model that reads the face, not the person" in section


def test_a_phrase_that_names_two_action_units_is_one_link():
    smile = EXPLAINED.parts[0].phrases[0]
    both = (smile, replace(smile, unit=ActionUnit.LIPS_PART, against="measured as absent"))
    parts = (Part("Key observations", "A big smile and a wrinkled nose.", both),)
    section = explanation_of(page([a_photo(full_report(explanation=replace(EXPLAINED, parts=parts)))]))
    assert re.findall(r'href="(.*?)"', section) == ["#p1-f1-AU25"], "the one that is not supported"


def test_a_conclusion_that_is_not_the_model_s_own_label_is_said_to_be():
    shown = [explanation_of(page([a_photo(full_report(explanation=given))])) for given in (
        EXPLAINED, replace(EXPLAINED, concluded=Expression.DISGUST)
    )]  # fmt: skip
    assert ["asked for the label alone, the same model says happiness" in section for section in shown] == [False, True]


def test_the_page_says_that_evidence_and_heat_map_prove_no_cause():
    text = Page(page([a_photo(full_report())])).text
    assert "compares measured action units with FACS prototypes" in text
    assert "the mean activation of its last aligned layer. Neither proves a cause." in text


def answered(asked: Attribute, answer: Answer, **other: str) -> Attributes:
    return Attributes(
        {asked: answer}, BREAKING_OUT, "face-1", 0, rationale=other.get("rationale"), problem=other.get("problem")
    )


def test_a_card_says_what_a_scan_was_asked_and_answered_or_why_not():
    given = answered(Attribute.GENDER, Answer("female", AnswerStatus.OK, 0.9), rationale="<i>a scarf")
    (card,) = cards(page([an_outcome(full_report(attributes=given))]))
    assert "gender: female , 90 %" in card
    assert "&lt;i&gt;a scarf" in card
    failed = answered(Attribute.EXPRESSION, Answer(None, AnswerStatus.TRANSPORT_ERROR), problem="<refused>")
    (card,) = cards(page([an_outcome(full_report(attributes=failed))]))
    assert "expression: no answer (transport error)" in card
    assert "&lt;refused&gt;" in card
    assert "Asked of" not in cards(page([an_outcome(full_report())]))[0]


def test_the_caveat_is_on_the_page_once_when_it_applies():
    gender = full_report(attributes=answered(Attribute.GENDER, Answer("female", AnswerStatus.OK)))
    fear = full_report(attributes=answered(Attribute.EXPRESSION, Answer("fear", AnswerStatus.OK)))
    assert page([an_outcome(gender, gender)]).count(CAVEAT) == 1
    assert CAVEAT not in page([an_outcome(fear)])


def test_a_scan_that_found_nobody_or_somebody_without_a_face_says_so():
    nobody = Outcome("a.jpg", ImageReport((9, 9), (), "reader", target=BREAKING_OUT))
    assert f"Nobody here fits: {BREAKING_OUT}" in Page(page([nobody])).text
    stranger = answered(Attribute.EXPRESSION, Answer("fear", AnswerStatus.OK))
    source = page([Outcome("a.jpg", ImageReport((9, 9), (), "reader", unmatched=(stranger,)))])
    assert "whose face was not found" in Page(source).text
    assert "fear" in Page(source).text
    assert Page(source).open == []
