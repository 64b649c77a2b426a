"""mien train METHOD: each field of the method's Settings is a flag."""

import json
import logging
import typing
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from types import ModuleType
from typing import Any

import click
from click.core import ParameterSource

from mien.cli.shared.data import DATA_HELP, open_data
from mien.datasets import Mixed, Synthetic
from mien.datasets.pseudo_labels import read
from mien.extras import optional

METHODS = {
    "au-cues": "mien.methods.au_cues",
    "expllm": "mien.methods.expllm.small.method",
    "expllm-full": "mien.methods.expllm.full",
    "facescan": "mien.methods.facescan.tune",
    "feranno": "mien.methods.feranno.train",
    "se-swin": "mien.methods.se_swin",
    "synfer": "mien.methods.synfer.flow.method",
    "synfer-full": "mien.methods.synfer.stable_diffusion.train",
    "vtff": "mien.methods.vtff",
}
METHODS_HELP = {
    "au-cues": "The expression reader; its attention can be taught to match action units.",
    "expllm": "The small vision-language model that writes chains of thought.",
    "expllm-full": "Any vision tower and language model of the hub, joined and tuned to write them.",
    "facescan": "PaliGemma, tuned to answer questions about a face: all weights, LoRA or QLoRA.",
    "feranno": "The labeler of faces that reads what a trained generator sees in them.",
    "se-swin": "A Swin transformer with squeeze-and-excitation and sharpness-aware minimization.",
    "synfer": "The generator of faces from expressions, words and action units.",
    "synfer-full": "Stable Diffusion, tuned on faces with captions and told action units.",
    "vtff": "A face and its local binary patterns, fused by attention, and a transformer.",
}
# A file of a run that says what data it was trained on.
DATA = "data.json"


def method(name: str) -> ModuleType:
    """The package of a method; MissingExtra when the training libraries are not there."""
    for library in ("torch", "timm", "lightning", "safetensors"):
        optional(library, "train")
    for library in ("transformers", "peft") if name.startswith(("expllm", "facescan")) else ():
        optional(library, "llm")
    for library in ("diffusers", "transformers", "peft") if name == "synfer-full" else ():
        optional(library, "generate")
    return import_module(METHODS[name])


class _Methods(click.Group):
    """One subcommand a method, made from its Settings when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(METHODS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return _command(cmd_name) if cmd_name in METHODS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Methods"):
            formatter.write_dl(list(METHODS_HELP.items()))


@click.group(cls=_Methods)
def train() -> None:
    """Train a method on labelled faces. A killed run goes on with --resume."""


def _command(name: str) -> click.Command:
    module = method(name)

    @click.command(name, help=METHODS_HELP[name])
    @click.option("--data", required=True, metavar="KIND:PATH", help=f"Faces to train on. {DATA_HELP}")
    @click.option("--split", help="Split of --data, where one file or folder holds several.")
    @click.option(
        "--synthetic",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="Also train on the faces in this folder, written by mien generate, best with labels of mien annotate.",
    )
    @click.option("--valid", metavar="KIND:PATH", help="Faces whose accuracy the log gives; nothing is chosen by it.")
    @click.option(
        "-o", "--output", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder of the run."
    )
    @click.option("--resume", is_flag=True, help="Go on with the run in the folder after its last whole epoch.")
    def command(
        data: str,
        split: str | None,
        synthetic: Path | None,
        valid: str | None,
        output: Path,
        resume: bool,
        preset: str | None,
        pseudo_labels: Path | None = None,
        chains: Path | None = None,
        **given: Any,
    ) -> None:
        logging.basicConfig(level=logging.INFO, format="%(message)s")
        lessons: dict[str, Any] = {} if pseudo_labels is None else {"labels": read(pseudo_labels)}
        lessons |= {} if chains is None else {"chains": chains}
        faces = open_data(data, split)
        module.train(
            faces if synthetic is None else Mixed(faces, Synthetic(synthetic)),
            chosen(module.PRESETS, preset, given, module.Settings()),
            output,
            valid=None if valid is None else open_data(valid),
            resume=resume,
            **lessons,
        )
        said = {"data": data, "split": split, "synthetic": None if synthetic is None else str(synthetic)}
        (output / DATA).write_text(json.dumps(said) + "\n", encoding="utf-8")
        if not hasattr(module, "export"):
            click.echo(f"wrote {output}", err=True)
            return
        to = "FOLDER" if name == "expllm" else "model.onnx"
        click.echo(f"wrote {output / 'model.safetensors'}; next: mien export {name} {output} -o {to}", err=True)

    if "labels" in signature(module.train).parameters:
        command = click.option(
            "--pseudo-labels",
            type=click.Path(path_type=Path, dir_okay=False),
            help="A teacher's labels of --data, written by mien pseudo-label, to learn action units or attention from.",
        )(command)
    if "chains" in signature(module.train).parameters:
        command = click.option(
            "--cot",
            "chains",
            type=click.Path(path_type=Path, exists=True, dir_okay=False),
            required=True,
            help="Chains of thought about --data, written by mien cot.",
        )(command)
    return with_settings(module.PRESETS, module.Settings())(command)


def with_settings(presets: Mapping[str, Any], base: Any) -> Callable[[click.Command], click.Command]:
    """The flag --preset, and one for each field of a method's settings, base the defaults; `chosen` reads them."""

    def add(command: click.Command) -> click.Command:
        hints = typing.get_type_hints(type(base))
        for field in fields(base):
            command = _option(field.name, hints[field.name], getattr(base, field.name))(command)
        return click.option(
            "--preset",
            type=click.Choice(list(presets)),
            help="Settings to start from; flags that are given go before it.",
        )(command)

    return add


def chosen(presets: Mapping[str, Any], preset: str | None, given: dict[str, Any], base: Any) -> Any:
    """The settings of a preset, or of base, changed by those flags that were given."""
    source = click.get_current_context().get_parameter_source
    typed = {name: value for name, value in given.items() if source(name) is not ParameterSource.DEFAULT}
    return replace(base if preset is None else presets[preset], **typed)


def _option(name: str, hint: Any, default: Any) -> Callable[[click.Command], click.Command]:
    flag = f"--{name.replace('_', '-')}"
    if hint is bool:
        return click.option(f"{flag}/--no-{flag[2:]}", name, default=default, show_default=True)
    if typing.get_origin(hint) is tuple:
        return click.option(flag, name, type=Numbers(), default=",".join(map(str, default)), show_default=True)
    return click.option(flag, name, type=hint, default=default, show_default=True)


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """Whole numbers, separated by commas."""

    name = "N,N,..."

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """ "32,64" to (32, 64)."""
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            return self.fail(f"{value!r} is not a list of whole numbers such as 32,64", param, ctx)
