from dataclasses import dataclass, field

import pytest

from mien.errors import InputError
from mien.facs.vocabulary import Expression
from mien.methods.expllm.engine import prompts
from mien.methods.expllm.engine.chain import think
from mien.methods.expllm.engine.llm import TRIES, LlmNodes, expressions_in, listed, ungrounded
from mien.providers.base import Completion
from mien.results.scan import AnswerStatus
from tests.methods.expllm.faces import face

SMILING = face({12: 0.6, 6: 0.45, 25: 0.03}, Expression.HAPPINESS, asymmetries={12: 0.2})
TRUE = "The lip corners are strongly pulled up and the cheeks are strongly raised."
FALSE = "The brows are lowered."
FORM = "Key observations: {seen}\nOverall interpretation: It is a smile.\nConclusion: The expression is {label}."


def node(question):
    """Which node a question comes from, by its own words."""
    for name in ("describe", "infer", "verify", "reflect", "refine"):
        start = getattr(prompts, name.upper()).rpartition("}\n\n")[2].split("{")[0][:40]
        if start in question:
            return name
    raise AssertionError(question)


@dataclass
class Server:
    """A language model that answers each node from a list, the last answer for ever, and keeps what it was asked."""

    describe: list = field(default_factory=lambda: [TRUE])
    infer: list = field(default_factory=lambda: ["Happiness."])
    verify: list = field(default_factory=lambda: ["Yes."])
    reflect: list = field(default_factory=lambda: ["Leave the brows out."])
    refine: list = field(default_factory=lambda: [FORM.format(seen=TRUE, label="happiness")])
    asked: list = field(default_factory=list)
    name, model, ranks = "fake", "fake", False

    def complete(self, messages, images, json_schema=None, choices=None):
        assert not images
        assert [message.role for message in messages] == ["system", "user"]
        question = messages[1].text
        self.asked.append((node(question), question))
        answers = getattr(self, node(question))
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, Completion):
            return answer
        return Completion(answer, usage={"prompt_tokens": 100, "completion_tokens": 10})

    def nodes(self):
        return [name for name, _ in self.asked]


def run(server, observed=SMILING, loops=3):
    asked = LlmNodes(server)
    return think(observed, asked, loops), asked.calls


def test_a_description_that_is_accepted_at_once_takes_four_questions():
    server = Server()
    chain, calls = run(server)
    assert server.nodes() == ["describe", "infer", "verify", "refine"] == [call.node for call in calls]
    assert (chain.verified, chain.loops, chain.guess.expression) == (True, 1, Expression.HAPPINESS)
    assert chain.sections.observations == TRUE


def test_every_question_and_its_tokens_are_counted():
    _, calls = run(Server())
    assert {(call.prompt_tokens, call.completion_tokens) for call in calls} == {(100, 10)}
    assert all(call.seconds >= 0 for call in calls)
    _, (first, *_) = run(Server(describe=[Completion(TRUE)]))
    assert (first.prompt_tokens, first.completion_tokens) == (None, None)


def test_the_model_is_shown_the_measured_action_units_and_never_the_label_before_it_has_guessed():
    server = Server()
    run(server)
    assert listed(SMILING).splitlines() == [
        "AU12 lip corner puller: 0.60 (pronounced, stronger on the left)",
        "AU6 cheek raiser: 0.45 (pronounced)",
    ]
    assert listed(face({}, Expression.NEUTRAL)) == "none: the face is at rest"
    questions = dict(server.asked)
    assert listed(SMILING) in questions["describe"]
    assert "happiness" not in questions["describe"].lower()
    assert listed(SMILING) not in questions["infer"]


def test_a_description_that_reads_as_another_expression_is_reflected_on_and_written_anew():
    server = Server(infer=["sadness", "happiness"], describe=["A smile.", TRUE])
    chain, _ = run(server)
    assert server.nodes() == ["describe", "infer", "verify", "reflect", "describe", "infer", "verify", "refine"]
    assert (chain.verified, chain.loops) == (True, 2)
    assert [objection.text for objection in chain.memory[0].objections] == [
        "it reads as sadness",
        "Leave the brows out.",
    ]
    again = server.asked[4][1]
    assert "A smile." in again
    assert "Leave the brows out." in again


def test_what_was_not_measured_is_objected_to_even_when_the_model_agrees_with_itself():
    server = Server(describe=[TRUE + " " + FALSE, TRUE], verify=["Yes."])
    chain, _ = run(server)
    assert chain.loops == 2
    assert chain.memory[0].objections[0].text == '"brows are lowered" is wrong: brow lowerer was measured as absent'


def test_what_the_model_itself_finds_wrong_is_remembered_in_its_words():
    chain, _ = run(Server(verify=["No, the cheeks are told too strongly.", "yes"]))
    assert chain.memory[0].objections[0].text == "the cheeks are told too strongly."


def test_after_the_last_loop_the_text_is_kept_as_not_verified_and_admits_doubt():
    server = Server(infer=["anger"])
    chain, _ = run(server, loops=2)
    assert (chain.verified, chain.loops, server.nodes().count("describe")) == (False, 2, 2)
    assert "admits doubt" in server.asked[-1][1]


@pytest.mark.parametrize("answer", ["It might be happiness or surprise.", "I cannot say.", "42"])
def test_an_answer_that_names_no_one_expression_is_no_guess(answer):
    chain, _ = run(Server(infer=[answer, "happy"]))
    assert chain.memory[0].guess.expression is None
    assert chain.memory[0].objections[0].text == "it reads as no single expression"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ("A smile.", "lacks one of the three parts"),
        (FORM.format(seen=TRUE, label="joyous"), "names no expression instead of happiness"),
        (FORM.format(seen=TRUE, label="happiness, not sadness"), "names happiness, sadness instead"),
        (FORM.format(seen=FALSE, label="happiness"), '"brows are lowered" is wrong'),
    ],
)
def test_a_final_form_that_is_not_right_is_asked_for_again_with_the_reason(wrong, complaint):
    server = Server(refine=[wrong, FORM.format(seen=TRUE, label="happiness")])
    chain, _ = run(server)
    assert chain.verified
    assert server.nodes()[-2:] == ["refine", "refine"]
    assert complaint in server.asked[-1][1]


def test_a_final_form_that_stays_ungrounded_is_kept_as_not_verified():
    chain, _ = run(Server(refine=[FORM.format(seen=FALSE, label="happiness")]))
    assert not chain.verified
    assert chain.sections.observations == FALSE


def test_a_face_whose_final_form_never_comes_is_rejected():
    server = Server(refine=["A smile."])
    with pytest.raises(InputError, match="three parts") as caught:
        run(server)
    assert caught.value.status == "rejected"
    assert server.nodes().count("refine") == TRIES


@pytest.mark.parametrize("answer", [Completion(""), Completion("", refusal="I will not describe faces.")])
def test_a_refusal_rejects_the_face(answer):
    with pytest.raises(InputError, match="did not answer") as caught:
        run(Server(describe=[answer]))
    assert caught.value.status == "rejected"


def test_a_server_that_gives_no_answer_stops_the_run_and_says_how_to_go_on():
    broken = Completion(failure=AnswerStatus.TRANSPORT_ERROR, problem="http://localhost: connection refused")
    with pytest.raises(InputError, match="connection refused; run the same command again") as caught:
        run(Server(infer=[broken]))
    assert caught.value.status == "no_answer"


def test_a_request_that_the_server_would_refuse_again_rejects_the_face():
    full = Completion(failure=AnswerStatus.TRANSPORT_ERROR, problem="maximum context length exceeded", permanent=True)
    with pytest.raises(InputError, match=r"refuses the request .*maximum context length") as caught:
        run(Server(infer=[full]))
    assert caught.value.status == "rejected"


def test_expressions_are_known_by_their_usual_words():
    assert expressions_in("Happy, or rather surprised; a happy face") == (Expression.HAPPINESS, Expression.SURPRISE)
    assert expressions_in("") == ()


def test_ungrounded_phrases_are_quoted_with_what_was_measured():
    assert ungrounded(SMILING, TRUE) == []
    (wrong,) = ungrounded(SMILING, "A barely visible smile.")
    assert wrong == '"smile" is wrong: lip corner puller was measured as pronounced'
