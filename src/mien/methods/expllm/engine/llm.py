"""The Exp-CoT engine of ExpLLM with a language model at its nodes, as published (Lan et al., 2025).

The model is asked for a description, the expression it reads as, a check, a reflection and the final form. We differ
in the check: a parser holds every written action unit against the measured ones, beside the model's own verdict.
"""

import re
import time
from collections.abc import Sequence

from mien.errors import InputError
from mien.facs.evidence import side
from mien.facs.observation import Observation
from mien.facs.units import BANDS, band
from mien.facs.vocabulary import ActionUnit, Expression, expression
from mien.methods.expllm.engine import prompts
from mien.methods.expllm.engine.chain import Attempt, Call, Guess, Objection, Sections
from mien.methods.expllm.engine.grounding import supported
from mien.providers.base import Message, Provider

# How often the final form is asked for before a face is given up.
TRIES = 3


class LlmNodes:
    """The nodes, each a question to a language model; one object a face: `think(face, Asked(provider))`.

    calls: what was asked so far. A node raises InputError: with the status "rejected" where the model gives no usable
    answer for this face, with "no_answer" where the server gives none at all.
    """

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self.calls: list[Call] = []

    def describe(self, face: Observation, memory: Sequence[Attempt]) -> str:
        """A description from names and intensities alone."""
        question = prompts.DESCRIBE.format(units=listed(face), degrees=prompts.DEGREES)
        if memory:
            question += "\n\n" + prompts.REMEMBER.format(attempts="\n\n".join(map(_remembered, memory)))
        return self._ask("describe", question)

    def infer(self, face: Observation, description: str) -> Guess:
        """The expression that the model reads from the description; it knows neither the label nor the list."""
        answer = self._ask("infer", prompts.INFER.format(description=description, labels=prompts.LABELS))
        named = expressions_in(answer)
        return Guess(named[0], named) if len(named) == 1 else Guess(None, ())

    def verify(self, face: Observation, description: str, guess: Guess) -> Sequence[Objection]:
        """The label, the parser's verdict and the model's; where one of them objects, the model reflects on them."""
        problems = ungrounded(face, description)
        if guess.expression is not face.label:
            read = "no single expression" if guess.expression is None else guess.expression.label
            problems.append(f"it reads as {read}")
        answer = self._ask("verify", prompts.VERIFY.format(units=listed(face), description=description))
        if not re.match(r"\W*yes\b", answer, re.IGNORECASE):
            problems.append(
                re.sub(r"^\W*no\b\W*", "", answer, flags=re.IGNORECASE) or "it does not agree with the list"
            )
        if not problems:
            return ()
        question = prompts.REFLECT.format(
            units=listed(face), description=description, label=face.label.label, problems="; ".join(problems)
        )
        return (*map(Objection, problems), Objection(self._ask("reflect", question)))

    def refine(self, face: Observation, description: str, verified: bool) -> Sections:
        """The three parts; asked again, up to TRIES times, when they lack their form or name what was not measured."""
        ending = (prompts.ENDING if verified else prompts.DOUBTFUL).format(label=face.label.label)
        asked = question = prompts.REFINE.format(units=listed(face), description=description, ending=ending)
        usable: Sections | None = None
        problem = ""
        for _ in range(TRIES):
            answer = self._ask("refine", question)
            sections, problem = _usable(answer, face.label)
            invented = ungrounded(face, answer) if sections else []
            if sections and not invented:
                return sections
            usable = sections or usable
            problem = "; ".join(invented) or problem
            question = f"{asked}\n\n{prompts.AGAIN.format(problem=problem, answer=answer)}"
        if usable is None:
            raise InputError(f"the model did not give the three parts in {TRIES} tries: {problem}", "rejected")
        return usable

    def _ask(self, node: str, question: str) -> str:
        started = time.perf_counter()
        answer = self._provider.complete([Message("system", prompts.SYSTEM), Message("user", question)], [])
        seconds = round(time.perf_counter() - started, 3)
        tokens = (answer.usage.get(name) for name in ("prompt_tokens", "completion_tokens"))
        self.calls.append(Call(node, seconds, *tokens))
        if answer.permanent:
            raise InputError(f"the server refuses the request ({node}): {answer.problem}", "rejected")
        if answer.failure is not None:
            raise InputError(f"{answer.problem}; run the same command again to go on", "no_answer")
        if answer.refusal or not answer.text.strip():
            raise InputError(f"the model did not answer ({node}): {answer.refusal or 'an empty text'}", "rejected")
        return answer.text.strip()


def listed(face: Observation) -> str:
    """The action units that are there, strongest first, a line each: number, name, intensity, degree, stronger side."""
    present = [unit for unit in ActionUnit if face.units[unit] >= BANDS[1].least]
    lines = []
    for unit in sorted(present, key=lambda unit: -face.units[unit]):
        value, where = face.units[unit], side(face.units, unit)
        uneven = "" if where == "both" else f", stronger on the {where}"
        lines.append(f"AU{unit} {unit.label}: {value:.2f} ({band(value).word}{uneven})")
    return "\n".join(lines) or "none: the face is at rest"


def expressions_in(text: str) -> tuple[Expression, ...]:
    """The expressions that a text names, by any of their usual words, in the order of their first naming."""
    expressions: dict[Expression, None] = {}
    for word in re.findall(r"[a-z]+", text.lower()):
        try:
            expressions.setdefault(expression(word))
        except InputError:
            continue
    return tuple(expressions)


def ungrounded(face: Observation, text: str) -> list[str]:
    """For each phrase of a text that the measured action units do not support, what is wrong with it."""
    wrong = [claim for claim in supported(text, face.units) if not claim.supported]
    return [
        f'"{text[c.mention.start : c.mention.end]}" is wrong: {c.mention.unit.label} was {c.against}' for c in wrong
    ]


def _usable(answer: str, label: Expression) -> tuple[Sections | None, str]:
    """The parts of an answer, or why it has none."""
    sections = Sections.read(answer)
    if sections is None:
        return None, "it lacks one of the three parts, or has a part twice"
    words = set(re.findall(r"[a-z]+", sections.conclusion.lower()))
    named = [e.label for e in Expression if e.label in words]
    if named != [label.label]:
        wrong = ", ".join(named) or "no expression"
        return None, f"its conclusion names {wrong} instead of {label.label} alone"
    return sections, ""


def _remembered(attempt: Attempt) -> str:
    remarks = "; ".join(objection.text for objection in attempt.objections)
    return prompts.ATTEMPT.format(description=attempt.description, remarks=remarks)
