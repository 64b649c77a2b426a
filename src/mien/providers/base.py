"""What a provider is: anything that answers questions about pictures, what it is shown and asked, what comes back.

OpenAICompatible (openai.py), Transformers (local.py) and Embedded (embedded.py) are the three that come with mien. Each
can be imported alone, without its library.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mien.results.face import Face
from mien.results.scan import AnswerStatus


@dataclass(frozen=True, eq=False)
class Picture:
    """What is shown to a model.

    pixels: (H, W, 3) uint8 RGB.   face: the face in question, in these pixels; None when that is left to the model.
    """

    pixels: NDArray[np.uint8]
    face: Face | None = None


@dataclass(frozen=True)
class Message:
    """role: "system", "user" or "assistant"."""

    role: str
    text: str


@dataclass(frozen=True)
class Completion:
    """What came back.

    text: word for word.   refusal: what the server marked as one.
    choice_logprobs: natural logarithm of each choice's probability, up to a common constant.
    failure: transport_error or timeout when nothing came back, and problem why, in words.   usage: tokens, by name.
    permanent: a failure that asking again would not mend, of this request, not of the server.
    """

    text: str = ""
    refusal: str | None = None
    choice_logprobs: Mapping[str, float] | None = None
    failure: AnswerStatus | None = None
    problem: str | None = None
    usage: Mapping[str, int] = field(default_factory=dict)
    permanent: bool = False


class Provider(Protocol):
    """Anything that answers questions about pictures."""

    @property
    def name(self) -> str:
        """The kind of provider, "openai"."""

    @property
    def model(self) -> str:
        """The model's own name."""

    @property
    def ranks(self) -> bool:
        """Whether it gives probabilities for choices, one question at a time."""

    def complete(
        self,
        messages: Sequence[Message],
        images: Sequence[Picture],
        json_schema: Mapping[str, Any] | None = None,
        choices: Sequence[str] | None = None,
    ) -> Completion:
        """Answer the messages about the images, which belong to the first message of the user.

        A failure on the way is a Completion too; InputError is for what the caller has to change.
        """
