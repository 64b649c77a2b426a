"""A picture to its people: faces are detected, a model is asked about them, and the answers join the reports.

Faces one by one ("detect, then scan"), or everybody at once, or the one person who is described.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mien.core.images import ImageSource, read_image
from mien.core.pipeline import Pipeline
from mien.errors import InputError
from mien.facs.vocabulary import Attribute
from mien.methods.facescan.match import match
from mien.methods.facescan.parse import Parsed, ParsedPerson, one_person, parse
from mien.methods.facescan.prompts import SYSTEM, Prompt, again_text, prompt, schema, shuffled, user_text
from mien.providers.base import Completion, Message, Picture, Provider
from mien.results.face import Face, FaceReport, ImageReport
from mien.results.scan import Answer, AnswerStatus, Attributes

# Around a face, this share of its box is shown on every side.
MARGIN = 0.4
# Worth asking once more; a refusal is an answer.
_AGAIN = (AnswerStatus.OUT_OF_VOCABULARY, AnswerStatus.EMPTY)


@dataclass(frozen=True)
class _Reply:
    """What came of a question and perhaps its repetition. parsed is None when there was no answer at all."""

    parsed: Parsed | None
    raw: tuple[str, ...]
    milliseconds: float
    failure: AnswerStatus = AnswerStatus.OK
    problem: str | None = None


class FaceScanner:
    """Asks a model about the faces in pictures.

    ask: what about; age, gender and race only if named here.   seed: shuffles the labels, for every face differently.
    wording: id of a prompt; left out, the first that suits.   together: one question about all people of a picture.
    pipeline: finds the faces, and reads them itself, so that every answer stands beside a measured expression.
    """

    def __init__(
        self,
        provider: Provider,
        ask: Sequence[Attribute] = (Attribute.EXPRESSION,),
        *,
        wording: str | None = None,
        together: bool = False,
        seed: int = 0,
        pipeline: Pipeline | None = None,
    ) -> None:
        if not ask or len(set(ask)) < len(ask):
            raise InputError("ask about at least one attribute, and each once; there are " + ", ".join(Attribute))
        self.provider, self.ask, self.together, self.seed = provider, tuple(ask), together, seed
        self.pipeline = pipeline or Pipeline()
        self.wording = wording
        self._prompt(None)  # reject an unsuitable wording early

    def __call__(self, source: ImageSource, target: str | None = None) -> ImageReport:
        """A picture to a report whose faces have `attributes`.

        target: a description of the one person to ask about; the report has only that face, or none.
        """
        image = read_image(source)
        report = self.pipeline(image)
        wording = self._prompt(target)
        if wording.about in ("face", "choice"):
            asked = (self._one(image, face, wording, self.seed + i) for i, face in enumerate(report.faces))
            return replace(report, faces=tuple(asked))
        return self._everybody(image, report, wording, target)

    def _prompt(self, target: str | None) -> Prompt:
        if target is not None:
            return prompt("target-1", ["target"])
        if self.together:
            return prompt(self.wording or "people-1", ["people"])
        about = "choice" if self.provider.ranks else "face"
        return prompt(self.wording or f"{about}-1", [about])

    def _one(self, image: NDArray[np.uint8], face: FaceReport, wording: Prompt, seed: int) -> FaceReport:
        picture = around(image, face.face)
        if wording.about == "choice":
            return replace(face, attributes=self._ranked(picture, wording, seed))
        reply = self._ask(picture, wording, seed, None)
        person = self._failed(reply) if reply.parsed is None else one_person(reply.parsed, self.ask)
        return replace(face, attributes=self._attributes(person, reply, wording, seed))

    def _everybody(
        self, image: NDArray[np.uint8], report: ImageReport, wording: Prompt, target: str | None
    ) -> ImageReport:
        reply = self._ask(Picture(image), wording, self.seed, target)
        people = self._people(reply, one=target is not None)
        boxes = np.array([face.box for face in report.faces], dtype=np.float64).reshape(-1, 4)
        face_of = match(people, boxes, report.size)
        answers = {face_of[i]: person for i, person in enumerate(people) if i in face_of}
        failed = reply.parsed is None or reply.parsed.status not in (AnswerStatus.OK, AnswerStatus.REPAIRED)
        nobody = self._failed(reply) if failed else _unsaid(self.ask, AnswerStatus.MISSED)
        faces = tuple(
            replace(face, attributes=self._attributes(answers.get(i, nobody), reply, wording, self.seed))
            for i, face in enumerate(report.faces)
            if i in answers or target is None
        )
        strangers = [person for i, person in enumerate(people) if i not in face_of]
        if failed and not faces:
            strangers = [nobody]
        unmatched = tuple(self._attributes(person, reply, wording, self.seed) for person in strangers)
        return replace(report, faces=faces, target=target, unmatched=unmatched)

    def _people(self, reply: _Reply, one: bool) -> tuple[ParsedPerson, ...]:
        if reply.parsed is None or not reply.parsed.people:
            return ()
        # Whoever was described is one person; several records must agree.
        return (one_person(reply.parsed, self.ask),) if one else reply.parsed.people

    def _ask(self, picture: Picture, wording: Prompt, seed: int, target: str | None) -> _Reply:
        """One question, and when its answer has no usable label one more that shows the labels again."""
        labels = shuffled(self.ask, seed)
        messages = [Message("system", SYSTEM), Message("user", user_text(wording, labels, target))]
        form = schema(wording, labels)
        start = time.perf_counter()
        first = self.provider.complete(messages, [picture], form)
        reply = self._reply([first], start)
        if reply.parsed is None or not _unusable(reply.parsed):
            return reply
        messages += [Message("assistant", first.text), Message("user", again_text(labels))]
        second = self.provider.complete(messages, [picture], form)
        again = self._reply([first, second], start)
        return replace(again, parsed=_better(reply.parsed, again.parsed), failure=AnswerStatus.OK, problem=None)

    def _reply(self, completions: Sequence[Completion], start: float) -> _Reply:
        last = completions[-1]
        raw = tuple(c.text or c.refusal or "" for c in completions if c.failure is None)
        parsed = None if last.failure is not None else parse(last.text, self.ask, last.refusal)
        milliseconds = 1000 * (time.perf_counter() - start)
        return _Reply(parsed, raw, milliseconds, last.failure or AnswerStatus.OK, last.problem)

    def _ranked(self, picture: Picture, wording: Prompt, seed: int) -> Attributes:
        """One question an attribute, each answered with a probability for every label."""
        labels = shuffled(self.ask, seed)
        start = time.perf_counter()
        completions = {}
        for attribute, words in labels.items():
            message = Message("user", user_text(wording, {attribute: words}))
            completions[attribute] = self.provider.complete([message], [picture], choices=words)
        milliseconds = 1000 * (time.perf_counter() - start)
        answers = {attribute: _chosen(completion, attribute) for attribute, completion in completions.items()}
        raw = tuple(completion.text for completion in completions.values())
        problem = next((completion.problem for completion in completions.values() if completion.problem), None)
        return Attributes(answers, self._who, wording.id, seed, raw, milliseconds, problem=problem)

    def _attributes(self, person: ParsedPerson, reply: _Reply, wording: Prompt, seed: int) -> Attributes:
        return Attributes(
            person.answers, self._who, wording.id, seed, reply.raw, reply.milliseconds, person.rationale, reply.problem
        )

    @property
    def _who(self) -> str:
        return f"{self.provider.name}:{self.provider.model}"

    def _failed(self, reply: _Reply) -> ParsedPerson:
        return _unsaid(self.ask, reply.failure if reply.parsed is None else reply.parsed.status)


def around(image: NDArray[np.uint8], face: Face) -> Picture:
    """A face with some surroundings, cut out at whole pixels and neither resized nor turned."""
    height, width = image.shape[:2]
    margin = MARGIN * (face.box[2:] - face.box[:2])
    x1, y1 = np.clip(np.floor(face.box[:2] - margin), 0, [width - 1, height - 1]).astype(int)
    x2, y2 = np.clip(np.ceil(face.box[2:] + margin), [x1 + 1, y1 + 1], [width, height]).astype(int)
    corner = np.array([x1, y1], np.float32)
    points = None if face.points is None else face.points - corner
    moved = Face(face.box - np.tile(corner, 2), points, face.score)
    return Picture(np.ascontiguousarray(image[y1:y2, x1:x2]), moved)


def _unsaid(ask: Sequence[Attribute], status: AnswerStatus) -> ParsedPerson:
    return ParsedPerson({attribute: Answer(None, status) for attribute in ask})


def _unusable(parsed: Parsed) -> bool:
    statuses = [answer.status for person in parsed.people for answer in person.answers.values()]
    return parsed.status in _AGAIN or any(status in _AGAIN for status in statuses)


def _better(first: Parsed, second: Parsed | None) -> Parsed:
    """The second answer, unless it has no more labels than the first; what had to be asked twice is repaired."""

    def labels(parsed: Parsed) -> int:
        return sum(answer.value is not None for person in parsed.people for answer in person.answers.values())

    if second is None or labels(second) <= labels(first):
        return first
    people = tuple(replace(person, answers=_repaired(person.answers)) for person in second.people)
    return Parsed(people, AnswerStatus.REPAIRED)


def _repaired(answers: Mapping[Attribute, Answer]) -> dict[Attribute, Answer]:
    return {
        attribute: replace(answer, status=AnswerStatus.REPAIRED) if answer.value is not None else answer
        for attribute, answer in answers.items()
    }


def _chosen(completion: Completion, attribute: Attribute) -> Answer:
    if completion.failure is not None:
        return Answer(None, completion.failure)
    logs = completion.choice_logprobs
    if logs is None:  # named without probabilities
        return one_person(parse(completion.text, [attribute], completion.refusal), [attribute]).answers[attribute]
    most = max(logs.values())
    shares = {label: math.exp(logs[label] - most) for label in attribute.labels}
    scores = {label: share / sum(shares.values()) for label, share in shares.items()}
    best = max(scores, key=lambda label: scores[label])
    return Answer(best, AnswerStatus.OK, scores[best], scores)
