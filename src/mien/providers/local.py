"""A vision-language model on this machine as a provider: PaliGemma, Florence-2, LLaVA, SmolVLM, Idefics and relatives.

Small models ignore long lists when they write freely, so they are not asked to write: every label is scored by how
likely the model is to answer it. Torch and transformers are imported when a model is opened.
"""

import copy
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from mien.errors import InputError
from mien.extras import optional
from mien.providers.base import Completion, Message, Picture

# The forms in which published checkpoints answer a label; their probabilities count together.
SPELLINGS = {
    "happiness": ("happiness", "happy"),
    "sadness": ("sadness", "sad"),
    "surprise": ("surprise", "surprised"),
    "anger": ("anger", "angry"),
    "disgust": ("disgust", "disgusted"),
    "fear": ("fear", "fearful"),
    "60+": ("60+", "more than 60"),
}
LONGEST_ANSWER = 512  # tokens
# What Florence-2 is asked when it was not tuned on a question: it can describe, not choose.
_CAPTION = "<MORE_DETAILED_CAPTION>"


class Transformers:
    """A checkpoint of AutoModelForImageTextToText, with its processor, from a folder or the Hugging Face cache.

    Nothing is downloaded, no code of a checkpoint is run and weights are read from safetensors only.
    tuned: the checkpoint was tuned to answer these very questions; without it Florence-2 only captions.
    device: as torch names it.   Needs the extra `llm`.
    """

    name = "transformers"

    def __init__(self, model: str | Path, *, tuned: bool = False, device: str = "cpu") -> None:
        transformers, self._torch = optional("transformers", "llm"), optional("torch", "llm")
        self.model = str(model)
        try:
            self._processor = transformers.AutoProcessor.from_pretrained(self.model, local_files_only=True)
            net = transformers.AutoModelForImageTextToText.from_pretrained(
                self.model, local_files_only=True, use_safetensors=True, dtype="auto"
            )
        except (OSError, ValueError, KeyError, ImportError) as error:
            raise InputError(
                f"{self.model} cannot be opened as a vision-language model: {error}\nGive a folder with config.json, "
                "*.safetensors and the processor's files, or download it into the Hugging Face cache first"
            ) from error
        self._net = net.to(device).eval()
        self._captions = net.config.model_type == "florence2" and not tuned
        self._pali = net.config.model_type == "paligemma"
        self._tuned = tuned
        # PaliGemma and Florence-2 take a line of text, the others a conversation.
        self._chats = not self._pali and net.config.model_type != "florence2"

    @property
    def ranks(self) -> bool:
        """See Provider."""
        return not self._captions

    def complete(
        self,
        messages: Sequence[Message],
        images: Sequence[Picture],
        json_schema: Mapping[str, Any] | None = None,
        choices: Sequence[str] | None = None,
    ) -> Completion:
        """See Provider: choices are scored, else the model writes; a schema is for the text to explain."""
        pictures = [Image.fromarray(image.pixels) for image in images]
        with self._torch.inference_mode():
            inputs = self._inputs(messages, pictures)
            if choices is None or self._captions:
                return Completion(self._written(inputs))
            scores = self._scores(inputs, messages, choices)
        return Completion(max(scores, key=lambda choice: scores[choice]), choice_logprobs=scores)

    def _inputs(self, messages: Sequence[Message], pictures: Sequence[Image.Image]) -> Any:
        if self._chats:
            shown = [{"type": "image", "image": picture} for picture in pictures]
            inputs = self._processor.apply_chat_template(
                _conversation(messages, shown),
                add_generation_prompt=True,
                tokenize=True,
                return_dict=True,
                return_tensors="pt",
            )
        else:
            inputs = self._processor(text=self._line(messages), images=pictures, return_tensors="pt")
        inputs = inputs.to(self._net.device)
        # PaliGemma's processor answers with labels, which are for training.
        return {
            name: value.to(self._net.dtype) if value.is_floating_point() else value
            for name, value in inputs.items()
            if name != "labels"
        }

    def _line(self, messages: Sequence[Message]) -> str:
        question = next(message.text for message in messages if message.role == "user")
        if self._captions:
            return _CAPTION
        if self._pali:
            return f"<image>{question}" if self._tuned else f"<image>answer en {question}"
        return f"<DocVQA>{question}"

    def _written(self, inputs: Any) -> str:
        tokens = self._net.generate(**inputs, max_new_tokens=LONGEST_ANSWER, do_sample=False)[0]
        if not self._net.config.is_encoder_decoder:
            tokens = tokens[inputs["input_ids"].shape[1] :]
        return str(self._processor.decode(tokens, skip_special_tokens=True)).strip()

    def _scores(self, inputs: Any, messages: Sequence[Message], choices: Sequence[str]) -> dict[str, float]:
        start = self._net(**inputs, use_cache=True)
        scores = {}
        for choice in choices:
            spelled = SPELLINGS.get(choice, (choice,))
            logs = [self._logprob(start, inputs, self._tokens(text, messages)) for text in spelled]
            most = max(logs)
            scores[choice] = most + math.log(sum(math.exp(log - most) for log in logs))
        return scores

    def _tokens(self, answer: str, messages: Sequence[Message]) -> list[int]:
        """The tokens of a whole answer, its end included, so that one that begins another does not gain from it."""
        tokenizer = self._processor.tokenizer
        if self._net.config.is_encoder_decoder:
            return list(tokenizer(answer).input_ids)
        if self._chats:
            tail = self._template_tail(answer, messages)
            if tail is not None:
                return list(tokenizer(tail, add_special_tokens=False).input_ids)
        return [*tokenizer(answer, add_special_tokens=False).input_ids, tokenizer.eos_token_id]

    def _template_tail(self, answer: str, messages: Sequence[Message]) -> str | None:
        """An answer as the chat template writes it, with the space before it and the sign that ends it.

        None from a template that writes no such sign, or the question differently once it is answered.
        """
        question = _conversation(messages, [{"type": "image"}])
        answered = [*question, {"role": "assistant", "content": [{"type": "text", "text": answer}]}]
        before = self._processor.apply_chat_template(question, add_generation_prompt=True)
        after = self._processor.apply_chat_template(answered, add_generation_prompt=False).rstrip("\n")
        tail = str(after.removeprefix(before))
        return tail if after.startswith(before) and len(tail.strip()) > len(answer) else None

    def _logprob(self, start: Any, inputs: Any, tokens: Sequence[int]) -> float:
        """log P(tokens | picture and question), from one pass over the question and one over the tokens."""
        torch, net = self._torch, self._net
        given = torch.tensor([list(tokens)], device=net.device)  # (1, T)
        logits = start.logits[:, -1:]  # (1, 1, vocabulary)
        if len(tokens) > 1 and net.config.is_encoder_decoder:
            begin = given.new_full((1, 1), _decoder_start(net.config))
            logits = net(
                decoder_input_ids=torch.cat([begin, given[:, :-1]], 1),
                encoder_outputs=optional("transformers.modeling_outputs", "llm").BaseModelOutput(
                    last_hidden_state=start.encoder_last_hidden_state
                ),
                attention_mask=inputs["attention_mask"],
            ).logits
        elif len(tokens) > 1:
            seen = torch.cat([inputs["attention_mask"], torch.ones_like(given[:, :-1])], 1)
            # A copy, because a pass adds its tokens to the cache it is given.
            past = copy.deepcopy(start.past_key_values)
            more = net(input_ids=given[:, :-1], attention_mask=seen, past_key_values=past, use_cache=True).logits
            logits = torch.cat([logits, more], 1)
        logs = logits.float().log_softmax(-1).gather(-1, given[..., None])  # (1, T, 1)
        return float(logs.sum())


def _conversation(messages: Sequence[Message], images: Sequence[Mapping[str, Any]]) -> list[dict[str, object]]:
    """The messages as chat templates want them, the pictures first; what the system says goes before the user's words.

    Many templates know no system role.
    """
    system = "\n".join(message.text for message in messages if message.role == "system")
    conversation: list[dict[str, object]] = []
    for message in messages:
        if message.role == "system":
            continue
        first = not conversation
        text = f"{system}\n{message.text}" if first and system else message.text
        content = [*(images if first else ()), {"type": "text", "text": text}]
        conversation.append({"role": message.role, "content": content})
    return conversation


def _decoder_start(config: Any) -> int:
    text = config.get_text_config(decoder=True)
    return int(text.decoder_start_token_id)
