"""What the nodes of the engine ask a language model, word for word. The paper's own prompts are not published."""

from mien.facs.units import BANDS
from mien.facs.vocabulary import Expression

# Goes into every record; raised with any change of wording.
VERSION = "1"
LABELS = ", ".join(expression.label for expression in Expression)
DEGREES = "; ".join(f"{each.word} from {each.least:.2f}" for each in BANDS if each.grade)

SYSTEM = (
    "You help to describe facial expressions for research. You never see a picture: you are given action units of the "
    "Facial Action Coding System that were measured on a face, each with its intensity from 0 to 1. Speak of the "
    "visible expression only, never of what the person feels or is. Left and right are the person's own. Never mention "
    "a movement that is not in the list."
)
_GIVEN = "These action units were measured:\n{units}\n\n"
_DESCRIBED = _GIVEN + "A face is described so:\n{description}\n\n"

DESCRIBE = _GIVEN + (
    "In 40 to 70 words of plain prose, describe what the face does and how the movements act together. Name the "
    "strongest three to six movements in everyday words, each with its degree in words ({degrees}); use neither "
    "numbers nor AU codes. Say which expressions the movements are typical of, and how much."
)
REMEMBER = (
    "Earlier descriptions of the same face were refused:\n{attempts}\n\n"
    "Write a new description that heeds these remarks and stays true to the list."
)
ATTEMPT = "Description: {description}\nRemarks: {remarks}"
INFER = (
    "A face is described so:\n{description}\n\n"
    "Which one of these expressions does the description fit best: {labels}? Answer with that one word."
)
VERIFY = _DESCRIBED + (
    "Does the description mention only movements in the list, with about the right degree and side? Answer with the "
    "word yes, or with the word no and then, in one sentence, what is wrong."
)
REFLECT = _DESCRIBED + (
    "Viewers saw {label} in this face. What is wrong with the description: {problems}. In at most three sentences, "
    "tell its writer which movements of the list to bring out, to tone down or to leave out, so that it stays true "
    "and can be read as {label}. If the movements do not bear that out, say so."
)
REFINE = _DESCRIBED + (
    "Rewrite it in exactly this form, 45 to 90 words in all, without any other line:\n"
    "Key observations: the movements with their degrees, and what each is typical of.\n"
    "Overall interpretation: what the movements make together, and what other expression they might fit.\n"
    "Conclusion: {ending}\n"
    "Mention no movement that is not in the list; use neither numbers nor AU codes."
)
ENDING = 'one sentence about the visible expression whose last word is "{label}"; no other expression is named here.'
DOUBTFUL = (
    'one sentence whose last word is "{label}" and that admits doubt, for the movements do not bear it out well; no '
    "other expression is named here."
)
AGAIN = "Your last answer was not usable: {problem}. Here it is:\n{answer}"
