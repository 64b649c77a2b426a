"""How sure a model is of its answer, in four steps, each with how often such answers were correct.

Correct is the word that people chose most. Measured on 1,500 readable faces of FERPlus valid, drawn with seed 0, those
without a majority too (`python benchmarks/words.py sureness`); neither model was trained on them, but the one number
that scales ExpLLM's probabilities was fitted there. 95 % intervals reach 1 point from the first figure of each model,
3 to 6 from the next two, and 8 (reader) and 15 (ExpLLM) from the last.
"""

from mien.methods.expllm.engine.wording import SURE

# Of 100 answers in each step of wording.SURE, from sure to not, so many are correct, by the model that answers.
RIGHT = {"reader": (99, 90, 70, 50), "expllm": (98, 77, 61, 45)}


def step(probability: float) -> int:
    """Which step of wording.SURE a probability, 0 to 1, lies in; 0 is the surest."""
    return next(i for i, (least, _) in enumerate(SURE) if probability >= least)


def sureness(probability: float, model: str) -> str:
    """A sentence about the probability of an answer.   model: a key of RIGHT."""
    number = step(probability)
    return SURE[number][1].format(right=RIGHT[model][number])
