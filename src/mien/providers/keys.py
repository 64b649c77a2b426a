"""What the keys of an answer, or of the JSON schema that asks for one, mean: an attribute of a face, or a role."""

import re

from mien.facs.vocabulary import Attribute

_ATTRIBUTE_OF = {
    key: attribute
    for attribute, keys in {
        Attribute.EXPRESSION: "expression emotion emotions facial_expression facial_emotion face_expression mood",
        Attribute.AGE: "age age_group age_range age_bracket agegroup age_category",
        Attribute.GENDER: "gender sex",
        Attribute.RACE: "race ethnicity race_ethnicity",
    }.items()
    for key in keys.split()
}
_ROLE_OF = {
    key: role
    for role, keys in {
        "people": "people persons faces individuals",
        "confidence": "confidence probability score certainty",
        "box": "box bbox bounding_box face_box",
        "rationale": "observations observation interpretation rationale reasoning description explanation",
        "index": "index",
    }.items()
    for key in keys.split()
}


def attribute_of(key: str) -> Attribute | None:
    """Return the attribute that a key of an answer or of a schema means: "facial expression", "age-group"."""
    return _ATTRIBUTE_OF.get(plain_key(key))


def role_of(key: str) -> str | None:
    """Return what else a key means: "people", "confidence", "box", "rationale" or "index"; None for any other."""
    return _ROLE_OF.get(plain_key(key))


def plain_key(key: str) -> str:
    """Return a key in lower case, its words joined by "_"."""
    return re.sub(r"[\W_]+", "_", key.casefold()).strip("_")
