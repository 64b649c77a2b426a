"""The questions, word for word. Their ids are part of every result: wording alone moves accuracy by points."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mien.errors import InputError
from mien.facs.vocabulary import Attribute
from mien.providers.words import CANNOT_TELL

# A JSON schema.
Schema = dict[str, Any]

SYSTEM = (
    "You annotate pictures with care. Describe only what can be seen. Answer only in the form that is asked for. "
    f'Where the face is hidden or too unclear, the answer is "{CANNOT_TELL}".'
)
# A reasoned answer has these before the labels, which are to follow from them.
_REASONED = ("observations", "interpretation")
_NOUN = {
    Attribute.EXPRESSION: "facial expression",
    Attribute.AGE: "age group",
    Attribute.GENDER: "apparent gender",
    Attribute.RACE: "apparent race",
}
Labels = Mapping[Attribute, Sequence[str]]


@dataclass(frozen=True)
class Prompt:
    """One wording.

    text: with the places {asked}, {form} and, of a prompt about somebody described, {target}; of a choice {noun},
    {name} and {labels}.
    about: "face", the main one; "people", everybody; "target", whoever is described; "choice", one attribute of the
    main face, for a model that ranks the labels.
    reasoned: the model writes what it sees before it answers.
    """

    id: str
    about: str
    text: str
    reasoned: bool = False


PROMPTS = {
    prompt.id: prompt
    for prompt in (
        Prompt("face-1", "face", "Look at the main person's face. Give:\n{asked}\nAnswer with {form}."),
        Prompt(
            "face-2", "face", "What does the face of the person in the middle show? Decide on\n{asked}\nReply {form}."
        ),
        Prompt("face-3", "face", "Annotate the most prominent face of this picture with\n{asked}\nReturn {form}."),
        Prompt(
            "reasoned-1",
            "face",
            "Look at the main person's face. First note what brows, eyes, nose and mouth do, then what that means "
            "together, and only then give:\n{asked}\nAnswer with {form}.",
            reasoned=True,
        ),
        Prompt(
            "people-1",
            "people",
            "List every person whose face is visible, from left to right. For each of them give:\n{asked}\n"
            "Answer with {form}.",
        ),
        Prompt(
            "target-1",
            "target",
            "Find the one person who fits this description: {target}. For this person alone give:\n{asked}\n"
            "If nobody fits, the list is empty. Answer with {form}.",
        ),
        Prompt("choice-1", "choice", "What is the {noun} of the main person in the picture? Choose from: {labels}."),
        # For a checkpoint that was tuned on the question and knows the labels.
        Prompt("tuned-1", "choice", "what is the {name} of the person in the image?"),
    )
}


def prompt(name: str, about: Sequence[str]) -> Prompt:
    """Return the prompt with this id; raise InputError if there is none, or if it asks about other attributes."""
    fitting = [p.id for p in PROMPTS.values() if p.about in about]
    if name not in fitting:
        raise InputError(f"there is no prompt {name!r} for this; there are {', '.join(fitting)}")
    return PROMPTS[name]


def shuffled(asked: Sequence[Attribute], seed: int) -> dict[Attribute, list[str]]:
    """The labels of each attribute in the order that this seed gives: what is named first is answered more often."""
    order = random.Random(seed)
    return {attribute: order.sample(attribute.labels, len(attribute.labels)) for attribute in asked}


def user_text(prompt: Prompt, labels: Labels, target: str | None = None) -> str:
    """What the user says; the form of the answer is in words too, for servers that take no schema.

    labels: of a choice, those of the one attribute that is asked.
    """
    if prompt.about == "choice":
        ((attribute, words),) = labels.items()
        return prompt.text.format(noun=_NOUN[attribute], name=attribute.value, labels=", ".join(words))
    asked = "\n".join(
        f'- "{a.value}", the {_NOUN[a]}: one of {", ".join(words)}, {CANNOT_TELL}' for a, words in labels.items()
    )
    fields = [f'"{name}": "..."' for name in _keys(prompt, labels)]
    if prompt.about == "face":
        form = f"one JSON object, {{{', '.join(fields)}}}, and nothing else"
    else:
        places = (
            '"index": 0, "box": [x1, y1, x2, y2] of the face as fractions of width and height from 0 to 1, or null, '
        )
        form = f'JSON, {{"people": [{{{places}{", ".join(fields)}}}]}}, and nothing else'
    form += '; "confidence" is a number from 0 to 1'
    return prompt.text.format(asked=asked, form=form, target=target)


def again_text(labels: Labels) -> str:
    """The one question that follows an answer without a usable label."""
    allowed = "; ".join(f'"{a.value}" is one of: {", ".join(words)}, {CANNOT_TELL}' for a, words in labels.items())
    return f"Please answer again in the same form. {allowed}."


def schema(prompt: Prompt, labels: Labels) -> Schema:
    """The JSON schema of the answer: strict, so every property is required and no other allowed."""
    kinds: Schema = {
        "index": {"type": "integer"},
        "box": {"type": ["array", "null"], "items": {"type": "number"}},
        "confidence": {"type": "number"},
        "observations": {"type": ["string", "null"]},
        "interpretation": {"type": "string"},
    }
    kinds |= {a.value: {"type": "string", "enum": [*words, CANNOT_TELL]} for a, words in labels.items()}
    if prompt.about == "face":
        return _object({name: kinds[name] for name in _keys(prompt, labels)})
    person = _object({name: kinds[name] for name in ("index", "box", *_keys(prompt, labels))})
    return _object({"people": {"type": "array", "items": person}})


def _keys(prompt: Prompt, labels: Labels) -> tuple[str, ...]:
    asked = tuple(attribute.value for attribute in labels)
    return (*_REASONED, *asked, "confidence") if prompt.reasoned else (*asked, "confidence", "observations")


def _object(properties: Mapping[str, Any]) -> Schema:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }
