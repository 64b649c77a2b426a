"""One record for each method: what it is called, needs, learns from and answers, and where its code lies.

Commands and tables read these records and import a method's code only when they use it; nothing else compares methods
by name. Other packages add methods through the entry-point group `mien.methods` (docs/add-a-method.md).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from mien.errors import InputError
from mien.extras import optional

GROUP = "mien.methods"
# What a method may learn from besides labelled faces: a teacher's labels, and chains of thought.
Lesson = Literal["pseudo_labels", "chains"]
# What a trained network answers about normalized (B, 1, S, S) gray faces: `logits`, and `action_units`.
Answer = Literal["expressions", "action_units"]
# The libraries of each extra that methods use.
LIBRARIES = {
    "train": ("torch", "timm", "lightning", "safetensors"),
    "llm": ("transformers", "peft"),
    "generate": ("diffusers", "transformers", "peft"),
}


@dataclass(frozen=True)
class Method:
    """One method, whose code is imported when one of its functions is called.

    name: on the command line.   summary: one sentence.
    training: the module that holds `train`, `Settings` and `PRESETS`.   loading: the module that holds `load`, and
    `export` where exports is not None.   extras: of mien, that both need.
    exports: "file" for one .onnx file, "folder" for several files, None where a run stays a checkpoint.
    lessons: what it learns from besides labelled faces; required: those of them that it cannot do without.
    answers: what its trained network says of faces; empty where the network takes something else.
    shipped: the model of this method that mien ships, by its name in mien.core.zoo; "" for none.
    ablation: the module of its ablation, and ablated, one sentence about its arms; "" for none.
    attention: the module that measures its attention, and figures, the one that draws it; "" for none.
    """

    name: str
    summary: str
    training: str
    loading: str
    extras: tuple[str, ...] = ("train",)
    exports: Literal["file", "folder"] | None = "file"
    lessons: tuple[Lesson, ...] = ()
    required: tuple[Lesson, ...] = ()
    answers: tuple[Answer, ...] = ()
    shipped: str = ""
    ablation: str = ""
    ablated: str = ""
    attention: str = ""
    figures: str = ""

    @property
    def settings(self) -> type[Any]:
        """The frozen dataclass of what a run depends on, besides the data."""
        return self._part(self.training, "Settings")  # type: ignore[no-any-return]

    @property
    def presets(self) -> Mapping[str, Any]:
        """Settings by name."""
        return self._part(self.training, "PRESETS")  # type: ignore[no-any-return]

    def train(self, *arguments: Any, **options: Any) -> Any:
        """Train: data set, settings and folder; then valid, resume and the lessons by name."""
        return self._part(self.training, "train")(*arguments, **options)

    def load(self, folder: Path) -> Any:
        """The trained network of a finished run, as mien.training.run.Trained."""
        return self._part(self.loading, "load")(folder)

    def export(self, folder: Path, output: Path, **options: Any) -> dict[str, float]:
        """Write a finished run to ONNX; returns the largest differences between network and file, by name."""
        if self.exports is None:
            raise InputError(f"a run of {self.name} stays a checkpoint; there is nothing to export")
        return self._part(self.loading, "export")(folder, output, **options)  # type: ignore[no-any-return]

    def module(self, where: str) -> Any:
        """Import one of the modules that the record names; raise MissingExtra where a library is missing."""
        self.check()
        return import_module(where)

    def check(self) -> None:
        """Raise MissingExtra, which names the extra to install, where a library is missing."""
        need(*self.extras)

    def _part(self, module: str, name: str) -> Any:
        return getattr(self.module(module), name)


def need(*extras: str) -> None:
    """Raise MissingExtra, which names the extra to install, where a library that methods use is missing."""
    for extra in extras:
        for library in LIBRARIES.get(extra, ()):
            optional(library, extra)


_METHODS = (
    Method(
        "au-cues",
        "The expression reader; its attention can be taught to match action units.",
        training="mien.methods.au_cues.train",
        loading="mien.methods.au_cues.export",
        lessons=("pseudo_labels",),
        answers=("expressions", "action_units"),
        shipped="reader",
        attention="mien.methods.au_cues.attention",
        figures="mien.methods.au_cues.figures",
    ),
    Method(
        "expllm",
        "The small vision-language model that writes chains of thought.",
        training="mien.methods.expllm.small.train",
        loading="mien.methods.expllm.small.export",
        extras=("train", "llm"),
        exports="folder",
        lessons=("chains",),
        required=("chains",),
        shipped="expllm",
    ),
    Method(
        "expllm-full",
        "A vision tower and a language model from the hub, joined and fine-tuned to write chains of thought.",
        training="mien.methods.expllm.full.train",
        loading="mien.methods.expllm.full.train",
        extras=("train", "llm"),
        exports=None,
        lessons=("chains",),
        required=("chains",),
    ),
    Method(
        "facescan",
        "PaliGemma, fine-tuned to answer questions about a face: all weights, LoRA or QLoRA.",
        training="mien.methods.facescan.train",
        loading="mien.methods.facescan.train",
        extras=("train", "llm"),
        exports=None,
    ),
    Method(
        "feranno",
        "A labeler of faces that reads the features of a trained generator.",
        training="mien.methods.feranno.train",
        loading="mien.methods.feranno.export",
        shipped="feranno",
    ),
    Method(
        "se-swin",
        "A Swin transformer with squeeze-and-excitation and sharpness-aware minimization.",
        training="mien.methods.se_swin.train",
        loading="mien.methods.se_swin.export",
        answers=("expressions",),
        shipped="se-swin",
        ablation="mien.methods.se_swin.ablation",
        ablated="Plain Swin, the gate, sharpness-aware steps, both, and controls.",
    ),
    Method(
        "synfer",
        "The generator of faces from expressions, captions and action units.",
        training="mien.methods.synfer.flow.train",
        loading="mien.methods.synfer.flow.export",
        lessons=("pseudo_labels",),
        shipped="synfer",
    ),
    Method(
        "synfer-full",
        "Stable Diffusion, fine-tuned on faces with captions and action units.",
        training="mien.methods.synfer.stable_diffusion.train",
        loading="mien.methods.synfer.stable_diffusion.train",
        extras=("train", "generate"),
        exports=None,
        lessons=("pseudo_labels",),
    ),
    Method(
        "vtff",
        "A face and its local binary patterns, fused by attention, then a transformer.",
        training="mien.methods.vtff.train",
        loading="mien.methods.vtff.export",
        answers=("expressions",),
        shipped="vtff",
        ablation="mien.methods.vtff.ablation",
        ablated="One branch, two, simple and attentional fusions, with and without transformer.",
    ),
)


@cache
def _others() -> dict[str, EntryPoint]:
    """The methods of other packages, by name."""
    return {point.name: point for point in entry_points(group=GROUP)}


def names() -> list[str]:
    """The names of all methods, of mien and of other packages, sorted; imports none of them."""
    return sorted({record.name for record in _METHODS} | _others().keys())


def method(name: str) -> Method:
    """The record of a method; raise InputError for an unknown name, or a package whose record cannot be used."""
    for record in _METHODS:
        if record.name == name:
            return record
    if name not in _others():
        raise InputError(f"there is no method {name!r}; the methods are {', '.join(names())}")
    point = _others()[name]
    try:
        record = point.load()
    except Exception as error:  # another package's module may fail in any way
        raise InputError(f"the method {name!r} of {point.value} cannot be imported: {error!r}") from error
    if not isinstance(record, Method) or record.name != name:
        raise InputError(f"{point.value} should be a mien.methods.registry.Method named {name!r}, but is {record!r}")
    return record


def methods() -> list[Method]:
    """The records of all methods that can be imported, sorted by name."""
    every = []
    for name in names():
        try:
            every.append(method(name))
        except InputError:  # reported when it is asked for by name
            continue
    return every
