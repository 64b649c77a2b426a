"""How a conversation with the embedded model is laid out, in training and in use: the face, the task, the answer.

<bos> <sys> <img> ... <img> <task:...> <user> question <asst> answer <eos>
"""

import re

from mien.errors import InputError
from mien.facs.evidence import side
from mien.facs.units import BANDS, ActionUnits, band
from mien.facs.vocabulary import ActionUnit, Expression
from mien.methods.expllm.engine.chain import Sections
from mien.methods.expllm.small.tokenizer import ASSISTANT, BOS, EOS, IMAGE, PARTS, SYSTEM, USER, Tokenizer

# What is asked with each task. The label alone; a chain of thought after the label was given; one that ends in the
# label; and the action units, which aligns the model's eyes with its words before it learns to reason.
LABEL, AFTERWARDS, REASON, UNITS = "<task:label>", "<task:cot>", "<task:cot+label>", "<task:units>"
QUESTIONS = {
    LABEL: "Which expression is this?",
    AFTERWARDS: "What shows it?",
    REASON: "What does the face show?",
    UNITS: "Which units move?",
}
NOTHING = "none"


def opening(tokenizer: Tokenizer, slots: int) -> list[int]:
    """The beginning of every conversation.   slots: places for the patches of the face."""
    return [tokenizer[BOS], tokenizer[SYSTEM], *[tokenizer[IMAGE]] * slots]


def question(tokenizer: Tokenizer, task: str) -> list[int]:
    """A task and its question, up to where the answer begins."""
    return [tokenizer[task], tokenizer[USER], *tokenizer.encode(QUESTIONS[task]), tokenizer[ASSISTANT]]


def given(tokenizer: Tokenizer, label: Expression) -> list[int]:
    """The label question with its answer, and then the question why."""
    answer = [tokenizer.labels[label], tokenizer[EOS]]
    return [*question(tokenizer, LABEL), *answer, *question(tokenizer, AFTERWARDS)]


def answer(tokenizer: Tokenizer, sections: Sections, label: Expression) -> tuple[list[int], int]:
    """A chain of thought as tokens, and at which of them its conclusion names the label, by the label's own token.

    InputError when the conclusion does not name it.
    """
    parts = (sections.observations, sections.interpretation, sections.conclusion)
    tokens: list[int] = []
    for mark, text in zip(PARTS, parts[:2], strict=False):
        tokens += [tokenizer[mark], *tokenizer.encode(text)]
    before, after = _around(sections.conclusion, label)
    tokens += [tokenizer[PARTS[2]], *tokenizer.encode(before)]
    return [*tokens, tokenizer.labels[label], *tokenizer.encode(after)], len(tokens)


def words_of(sections: Sections, label: Expression) -> str:
    """All words of a chain of thought but the label that it concludes with."""
    return " ".join([sections.observations, sections.interpretation, *_around(sections.conclusion, label)])


def caption(units: ActionUnits) -> str:
    """The action units that are there, in FACS order, each with its degree: "slight left lip corner puller"."""
    phrases = []
    for unit in ActionUnit:
        degree, stronger = band(units[unit]), side(units, unit)
        if degree is not BANDS[0]:
            phrases.append(" ".join([degree.word, *([stronger] if stronger != "both" else []), unit.label]))
    return f"{', '.join(phrases) or NOTHING}."


def caption_words() -> str:
    """Every word that a caption may have."""
    return " ".join(
        [*(each.word for each in BANDS), *(unit.label for unit in ActionUnit), "left right ,", NOTHING, "."]
    )


def _around(conclusion: str, label: Expression) -> tuple[str, str]:
    named = re.search(rf"\b{label.label}\b", conclusion, re.IGNORECASE)
    if named is None:
        raise InputError(f"a conclusion must name its label, {label.label}: {conclusion!r}")
    return conclusion[: named.start()], conclusion[named.end() :]
