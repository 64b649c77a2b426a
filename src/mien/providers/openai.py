"""Any server that speaks as OpenAI's does, as a provider."""

import base64
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from mien.errors import InputError
from mien.extras import optional
from mien.providers.base import Completion, Message, Picture
from mien.providers.client import BoundedClient
from mien.results.scan import AnswerStatus

# A picture whose sides are all below the first is enlarged by the second: these models blur small faces away.
SMALL, ENLARGE = 128, 4
# Up to this side, after that, a picture is sent without loss.
LOSSLESS = 256
# How the form of an answer is asked for, the strictest way first; what a server does not take is not tried again.
_FORMS = ("json_schema", "json_object", "text")
_REMEMBERED = 4096


class _ChatMessage(TypedDict):
    """A message as the API takes it; content is text, or parts of text and pictures."""

    role: str
    content: str | list[Mapping[str, object]]


class OpenAICompatible:
    """A server with POST {base_url}/chat/completions: hosted models, vLLM, llama.cpp, `mien serve --openai`.

    There is no default address. Pictures are decoded and encoded again, so that no metadata leaves, and reduced.
    key: sent as bearer token; None sends none that means anything.
    timeout: seconds for a question, with all attempts and pauses.
    retries: after a broken connection, 408, 409, 429 or 5xx, with growing pauses, or when the server says.
    Redirects are not followed: pictures go to base_url alone.
    longest: pixels of the longer side of a picture that is sent.   Needs the extra `vlm`.
    """

    name = "openai"
    ranks = False

    def __init__(
        self,
        base_url: str,
        model: str,
        key: str | None = None,
        *,
        timeout: float = 60.0,
        retries: int = 3,
        longest: int = 512,
    ) -> None:
        if not base_url.startswith(("http://", "https://")):
            raise InputError(f"base_url must begin with http:// or https://, but got {base_url!r}")
        self._openai = optional("openai", "vlm")
        self._client = BoundedClient(self._openai, base_url, key or "none", timeout, retries)
        self.base_url, self.model, self._longest = base_url, model, longest
        self._forms = list(_FORMS)
        self._temperature: dict[str, int] = {"temperature": 0}
        self._answered: dict[str, Completion] = {}

    def complete(
        self,
        messages: Sequence[Message],
        images: Sequence[Picture],
        json_schema: Mapping[str, Any] | None = None,
        choices: Sequence[str] | None = None,
    ) -> Completion:
        """See Provider; choices are for the text to name. What was answered before is answered from memory."""
        urls = [data_url(image.pixels, self._longest) for image in images]
        chat = _chat(messages, urls)
        request = hashlib.sha256(json.dumps([chat, json_schema]).encode()).hexdigest()
        if request not in self._answered:
            completion = self._ask(chat, json_schema)
            if completion.failure is not None:
                return completion
            if len(self._answered) >= _REMEMBERED:
                self._answered.pop(next(iter(self._answered)))
            self._answered[request] = completion
        return self._answered[request]

    def _ask(self, chat: Sequence[_ChatMessage], schema: Mapping[str, Any] | None) -> Completion:
        api = self._openai
        forms, temperature = list(self._forms), dict(self._temperature)
        deadline = self._client.deadline()
        while True:
            sent = {**temperature, **_response_format(forms[0], schema)}
            try:
                completion = _read(self._client.create(deadline, model=self.model, messages=chat, **sent))
                # What the server did not like is left out for good once it answers without: until then it may be the
                # picture or the words that it did not like.
                self._forms, self._temperature = forms, temperature
                return completion
            except (api.BadRequestError, api.UnprocessableEntityError) as error:
                if "temperature" in sent and "temperature" in str(error):
                    temperature = {}
                elif "response_format" in sent:
                    forms = forms[1:]
                else:
                    # From a server that answers other requests: this one it would refuse again.
                    return self._failed(error, permanent=bool(self._answered))
            except (api.AuthenticationError, api.PermissionDeniedError) as error:
                raise InputError(f"{self.base_url} does not accept the key: {_shortened(error)}") from error
            except api.NotFoundError as error:
                raise InputError(
                    f"{self.base_url} knows no model {self.model!r}, or no chat/completions; many servers want an "
                    f"address that ends in /v1: {_shortened(error)}"
                ) from error
            except (TimeoutError, api.APITimeoutError):
                problem = f"{self.base_url} did not answer in time"
                return Completion(failure=AnswerStatus.TIMEOUT, problem=problem)
            except (ValueError, RecursionError) as error:  # declared as JSON, but is not, or nested without end
                return self._failed(f"no JSON: {error}")
            except api.APIStatusError as error:
                place = error.response.headers.get("location")
                if place and error.status_code in range(300, 400):
                    return self._failed(f"redirects to {place}; pictures are sent there only if it is the base URL")
                return self._failed(error)
            except api.OpenAIError as error:
                return self._failed(error.__cause__ or error)

    def _failed(self, why: object, permanent: bool = False) -> Completion:
        problem = f"{self.base_url}: {_shortened(why)}"
        return Completion(failure=AnswerStatus.TRANSPORT_ERROR, problem=problem, permanent=permanent)


def data_url(pixels: NDArray[np.uint8], longest: int) -> str:
    """An (H, W, 3) RGB picture as a data URL: small ones enlarged, large ones reduced, without metadata."""
    picture = Image.fromarray(pixels)
    side = max(picture.size)
    scale = min(ENLARGE if side < SMALL else 1, longest / side)
    if scale != 1:
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.BICUBIC if scale > 1 else Image.Resampling.LANCZOS)
    file = io.BytesIO()
    lossless = max(picture.size) <= LOSSLESS
    picture.save(file, "PNG" if lossless else "JPEG", **({} if lossless else {"quality": 92}))
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


def _chat(messages: Sequence[Message], urls: Sequence[str]) -> list[_ChatMessage]:
    """The messages as the API wants them, with the pictures before the first words of the user."""
    parts: list[Mapping[str, object]] = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    chat: list[_ChatMessage] = []
    for message in messages:
        if message.role == "user" and parts:
            chat.append({"role": "user", "content": [*parts, {"type": "text", "text": message.text}]})
            parts = []
        elif message.text:  # of an empty answer that is asked about again there is nothing to send
            chat.append({"role": message.role, "content": message.text})
    return chat


def _response_format(form: str, schema: Mapping[str, Any] | None) -> dict[str, object]:
    if schema is None or form == "text":
        return {}
    if form == "json_object":
        return {"response_format": {"type": "json_object"}}
    named = {"name": "answer", "strict": True, "schema": dict(schema)}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _encodable(text: str) -> str:
    """Half of a surrogate pair, which JSON can escape, could be written to no file."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _shortened(why: object) -> str:
    """What a server gave as its reason, on one line and no longer than one reads."""
    text = "".join(c if c.isprintable() else " " for c in _encodable(str(why)))
    return text if len(text) <= 300 else f"{text[:300]}…"


def _read(answer: Any) -> Completion:
    """The API's answer; servers that only resemble the API leave things out, or answer something else altogether."""
    try:
        choice = answer.choices[0]
        message, finished = choice.message, choice.finish_reason
        text, refusal = message.content, getattr(message, "refusal", None)
    except IndexError:
        return Completion()
    except (AttributeError, TypeError):
        start = " ".join(str(answer).split())[:80]
        return Completion(
            failure=AnswerStatus.TRANSPORT_ERROR, problem=f"the server's answer is no completion: {start}"
        )
    if finished == "content_filter":
        refusal = refusal or finished
    usage = getattr(answer, "usage", None)
    counted = {name: getattr(usage, name, None) for name in ("prompt_tokens", "completion_tokens")}
    return Completion(
        _encodable(text) if isinstance(text, str) else "",
        _encodable(refusal) if isinstance(refusal, str) else None,
        usage={name: count for name, count in counted.items() if isinstance(count, int)},
    )
