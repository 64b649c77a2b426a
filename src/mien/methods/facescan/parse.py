"""The answer of a language model to labels, or to a status that says why there is none. Never raises, never guesses.

In this order: refused?  JSON as asked for?  JSON inside other text, mended?  lines such as "age: 34"?  words in a
sentence?  Whatever is not exactly as asked for counts as repaired.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mien.facs.vocabulary import Attribute
from mien.providers.keys import attribute_of, plain_key, role_of
from mien.providers.words import CANNOT_TELL, is_refusal, is_unseen, label_of, only_label, plain
from mien.results.record import Record
from mien.results.scan import Answer, AnswerStatus

# No answer is longer; what lies beyond is not read, so that parsing takes no time worth mentioning.
LONGEST = 20_000
# So many brackets are tried as the start of JSON, so many levels of JSON looked into.
TRIES, DEPTH = 200, 4
Box = tuple[float, float, float, float]

# Clear enough where only one thing was asked.
_NAMELESS = frozenset(["answer", "result", "label", "value", "class", "prediction", "output", "response"])
_UNREADABLE = Answer(None, AnswerStatus.OUT_OF_VOCABULARY)
_UNSAID = Answer(None, AnswerStatus.EMPTY)


@dataclass(frozen=True)
class ParsedPerson:
    """What an answer says of one person.

    answers: one for each attribute asked.   box: x1 y1 x2 y2 as shares of the picture's sides, or None.
    """

    answers: Mapping[Attribute, Answer]
    box: Box | None = None
    rationale: str | None = None


@dataclass(frozen=True)
class Parsed:
    """people: in the order of the answer.   status: ok or repaired for a list of people, even one of nobody."""

    people: tuple[ParsedPerson, ...]
    status: AnswerStatus


def parse(text: str | None, asked: Sequence[Attribute], refusal: str | None = None) -> Parsed:
    """The people in an answer.   refusal: what the server itself marks as one, which settles it."""
    exact = _records(_loads((text or "")[:LONGEST]), asked)
    text = _without_thinking(plain((text or "")[:LONGEST])).strip()
    if refusal or is_refusal(re.split(r"[{\[]", text, maxsplit=1)[0]):
        return Parsed((), AnswerStatus.REFUSED)
    if not text:
        return Parsed((), AnswerStatus.EMPTY)
    if exact is not None:
        return Parsed(tuple(_person(record, asked, AnswerStatus.OK) for record in exact), AnswerStatus.OK)
    records = _inside(_mended(text), asked)
    if records is None:
        records = _labelled_lines(text, asked)
    if records is not None:
        return Parsed(tuple(_person(r, asked, AnswerStatus.REPAIRED) for r in records), AnswerStatus.REPAIRED)
    if len(asked) > 1:
        return Parsed((), AnswerStatus.OUT_OF_VOCABULARY)
    answer = read_value(text, asked[0])
    return Parsed((ParsedPerson({asked[0]: answer}),), answer.status)


def one_person(parsed: Parsed, asked: Sequence[Attribute]) -> ParsedPerson:
    """The answer to a question about one person; of several records, what they agree on."""
    if not parsed.people:
        status = AnswerStatus.EMPTY if parsed.status in (AnswerStatus.OK, AnswerStatus.REPAIRED) else parsed.status
        return ParsedPerson({attribute: Answer(None, status) for attribute in asked})
    first, *others = parsed.people
    if not others:
        return first
    return replace(first, answers={a: _agreed([p.answers[a] for p in parsed.people]) for a in asked}, box=None)


def _agreed(answers: Sequence[Answer]) -> Answer:
    if len({answer.value for answer in answers}) > 1:
        return _UNREADABLE
    return answers[0] if answers[0].value is None else replace(answers[0], status=AnswerStatus.REPAIRED)


def _meant(key: str, value: Any, asked: Sequence[Attribute]) -> Attribute | None:
    nameless = len(asked) == 1 and plain_key(key) in _NAMELESS and not isinstance(value, dict | list)
    return asked[0] if nameless else attribute_of(key)


def _without_thinking(text: str) -> str:
    return re.sub(r"<think>.*?(?:</think>|\Z)", "", text, flags=re.S)


def _loads(text: str) -> Any:
    try:
        return _encodable(json.loads(text))
    except (ValueError, RecursionError):
        return None


def _encodable(value: Any) -> Any:
    """Decoded JSON without halves of surrogate pairs, which it can escape and no file can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_encodable(item) for item in value]
    if isinstance(value, dict):
        return {_encodable(key): _encodable(inner) for key, inner in value.items()}
    return value


def _mended(text: str) -> str:
    """Without code fences and trailing commas, with JSON's quotes and null."""
    text = re.sub(r"```\w*", " ", text)
    if '"' not in text:
        text = text.replace("'", '"')
    return re.sub(r",\s*(?=[}\]])", "", re.sub(r"\bNone\b", "null", text))


def _inside(text: str, asked: Sequence[Attribute]) -> list[Record] | None:
    """The people in the JSON inside a text: the first that is a list of them, else all records.

    Of a list that was cut off, these are the records before the cut.
    """
    people: list[Record] = []
    for value in _values(text):
        records = _records(value, asked)
        if records is not None and (isinstance(value, list) or _names_people(value)):
            return records
        people += records or []
    return people or None


def _values(text: str) -> Iterator[Any]:
    """Every complete JSON object or list, outermost first, left to right."""
    start = 0
    for _ in range(TRIES):
        match = re.compile(r"[{\[]").search(text, start)
        if match is None:
            return
        try:
            value, start = json.JSONDecoder().raw_decode(text, match.start())
            yield _encodable(value)
        except (ValueError, RecursionError):
            start = match.end()


def _names_people(value: Any) -> bool:
    return isinstance(value, dict) and any(role_of(key) == "people" for key in value)


def _records(value: Any, asked: Sequence[Attribute], depth: int = 0) -> list[Record] | None:
    """The people in decoded JSON, [] for a list of nobody; None when it is not about people at all."""
    if depth > DEPTH or not isinstance(value, list | dict):
        return None
    if isinstance(value, list):
        if len(asked) == 1 and value and all(isinstance(item, str) for item in value):
            return [{asked[0].value: item} for item in value]
        parts = [_records(item, asked, depth + 1) for item in value]
        return [record for part in parts for record in part or ()] if not value or any(parts) else None
    if any(_meant(key, inner, asked) in asked for key, inner in value.items()):
        return [value]
    if len(asked) == 1 and value and all(_is_score(v) and label_of(k, asked[0]) for k, v in value.items()):
        return [{asked[0].value: value}]
    for key, inner in value.items():
        records = _records(inner, asked, depth + 1)
        if records or (records is not None and role_of(key) == "people"):
            return records
    return None


def _labelled_lines(text: str, asked: Sequence[Attribute]) -> list[Record] | None:
    """One person from lines such as "- Age group: 20-39"; None when no line names what was asked, or one does twice."""
    record: Record = {}  # an Attribute is a string
    for line in re.split(r"[\n;]|,\s*(?=[A-Za-z][\w /-]{1,24}[:=])", text):
        match = re.match(r"[\W_]*([A-Za-z][A-Za-z /_-]{1,24})[\W_]*?[:=][\s*_\"']*(.+)", line)
        attribute = attribute_of(match[1]) if match else None
        if match and attribute is not None and attribute in asked:
            if attribute in record:
                return None
            record[attribute] = match[2]
    return [record] if record else None


def _person(record: Mapping[str, Any], asked: Sequence[Attribute], form: AnswerStatus) -> ParsedPerson:
    """form: ok, or repaired when the record had to be searched for or mended."""
    answers: dict[Attribute, Answer] = {}
    others: Record = {}
    words: list[str] = []
    for key, value in record.items():
        attribute, role = _meant(key, value, asked), role_of(key)
        if attribute is not None and attribute in asked and attribute not in answers:
            answers[attribute] = read_value(value, attribute, form if key == attribute else AnswerStatus.REPAIRED)
        elif role == "rationale" and isinstance(value, str) and value.strip():
            words.append(value.strip())
        elif role is not None:
            others.setdefault(role, value)
    # The one confidence of a record is about what was asked first.
    filled = {attribute: answers.get(attribute, _UNSAID) for attribute in asked}
    filled[asked[0]] = _with_confidence(filled[asked[0]], others.get("confidence"))
    return ParsedPerson(filled, _box(others.get("box")), " ".join(words) or None)


def read_value(value: Any, attribute: Attribute, form: AnswerStatus = AnswerStatus.OK) -> Answer:
    """One value: a word, a sentence, a number, or scores by label.

    form: what an exact label counts as; anything less exact is repaired.
    """
    if isinstance(value, Mapping):
        return _highest(value, attribute)
    if isinstance(value, list):
        single = len(value) == 1 and not isinstance(value[0], list)
        return read_value(value[0], attribute, AnswerStatus.REPAIRED) if single else _UNREADABLE
    if value is None or (isinstance(value, str) and not value.strip()):
        return _UNSAID
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return _UNREADABLE
    text = str(value)
    if text in attribute.labels:
        return Answer(text, form)
    if text == CANNOT_TELL:
        return Answer(None, AnswerStatus.CANNOT_TELL)
    if is_refusal(text):
        return Answer(None, AnswerStatus.REFUSED)
    label = label_of(text, attribute) or only_label(text, attribute)
    if label is not None:
        return Answer(label, AnswerStatus.REPAIRED)
    return Answer(None, AnswerStatus.CANNOT_TELL) if is_unseen(text) else _UNREADABLE


def _highest(value: Mapping[str, Any], attribute: Attribute) -> Answer:
    """Scores by label are a ranking: the one highest wins."""
    scores = dict.fromkeys(attribute.labels, 0.0)
    for word, score in value.items():
        label = label_of(word, attribute)
        if label is None or not _is_score(score):
            return _UNREADABLE
        scores[label] += score
    total, best = sum(scores.values()), max(scores, key=lambda label: scores[label])
    if not 0 < total < math.inf or list(scores.values()).count(scores[best]) > 1:
        return _UNREADABLE
    shares = {label: score / total for label, score in scores.items()}
    return Answer(best, AnswerStatus.REPAIRED, shares[best], shares)


def _with_confidence(answer: Answer, given: Any) -> Answer:
    if isinstance(given, str) and (match := re.fullmatch(r"\s*(\d{1,3}(?:\.\d{1,6})?)\s*%?\s*", given)):
        given = float(match[1]) / (100 if "%" in given else 1)
    if answer.value is None or answer.confidence is not None or not (_is_score(given) and given <= 1):
        return answer
    return replace(answer, confidence=float(given))


def _is_score(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= 1e9  # which NaN and infinity are not


def _box(value: Any) -> Box | None:
    # Some models answer pixels or thousandths, and nothing shows which: only shares are accepted.
    if not isinstance(value, list) or len(value) != 4 or not all(_is_score(v) and v <= 1 for v in value):
        return None
    x1, y1, x2, y2 = map(float, value)
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None
