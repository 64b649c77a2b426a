import pytest

from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine.chain import Guess, Objection, Sections, think
from tests.methods.expllm.faces import SMILE, face

THREE = Sections("A smile.", "It is a smile.", "It reads as happiness.")
HAPPY = Guess(Expression.HAPPINESS, (Expression.HAPPINESS,))


class Scripted:
    """Nodes that refuse so many descriptions, and write down what they were shown."""

    def __init__(self, refuse, final=THREE):
        self.refuse, self.final, self.remembered, self.accepted = refuse, final, [], None

    def describe(self, face, memory):
        self.remembered.append([attempt.description for attempt in memory])
        return f"description {len(memory) + 1}"

    def infer(self, face, description):
        return HAPPY

    def verify(self, face, description, guess):
        return [Objection("too dull")] if len(self.remembered) <= self.refuse else []

    def refine(self, face, description, verified):
        self.accepted = (description, verified)
        return self.final


@pytest.mark.parametrize(("refuse", "loops", "verified"), [(0, 1, True), (1, 2, True), (2, 3, True), (3, 3, False)])
def test_descriptions_are_tried_until_one_is_accepted_and_three_times_at_the_most(refuse, loops, verified):
    nodes = Scripted(refuse)
    chain = think(face(SMILE, Expression.HAPPINESS), nodes, loops=3)
    assert (chain.loops, chain.verified, len(chain.memory)) == (loops, verified, refuse)
    assert nodes.accepted == (f"description {loops}", verified)


def test_each_description_is_written_with_all_that_were_refused_in_mind():
    nodes = Scripted(refuse=2)
    chain = think(face(SMILE, Expression.HAPPINESS), nodes)
    assert nodes.remembered == [[], ["description 1"], ["description 1", "description 2"]]
    assert chain.memory[0].objections == (Objection("too dull"),)


def test_a_final_form_that_names_what_was_not_measured_is_not_verified():
    invented = Sections("A smile and a frown.", "It is a smile.", "It reads as happiness.")
    chain = think(face(SMILE, Expression.HAPPINESS), Scripted(0, invented))
    assert not chain.verified
    assert [
        claim.mention.unit for claim in chain.claims(face(SMILE, Expression.HAPPINESS).units) if not claim.supported
    ] == [4]


def test_a_text_is_three_parts_with_headers():
    assert THREE.text == (
        "Key observations: A smile.\n\nOverall interpretation: It is a smile.\n\nConclusion: It reads as happiness."
    )
    assert Sections.read(THREE.text) == THREE


@pytest.mark.parametrize(
    "text",
    [
        "**Key Observations:** A smile.\n**Overall Emotional Interpretation:** It is a smile.\n"
        "**Conclusion:** It reads as happiness.",
        "1. Key observation\nA smile.\n\n2. Overall interpretation\nIt is\na smile.\n\n"
        "3. CONCLUSION\nIt reads as happiness.\n",
        "### Key Observations\n\nA smile.\n\n### Overall Interpretation\n\nIt is a smile.\n\n"
        "### Conclusion\n\nIt reads as happiness.",
    ],
)
def test_headers_are_known_in_any_usual_spelling(text):
    assert Sections.read(text) == THREE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A smile. It reads as happiness.",
        "Key observations: A smile.\nConclusion: It reads as happiness.",
        "Conclusion: happiness.\nOverall interpretation: a smile.\nKey observations: A smile.",
        "Key observations: A smile.\nOverall interpretation: \nConclusion: It reads as happiness.",
        THREE.text + "\nConclusion: It reads as anger.",
    ],
)
def test_a_text_without_its_three_parts_has_no_parts(text):
    assert Sections.read(text) is None
