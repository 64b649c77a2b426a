"""mien reads facial expressions in photographs and shows why. Start with `mien.analyze("photo.jpg")`."""

from importlib import import_module

from mien import telemetry

# True for type checkers; importing typing for it would take three quarters of the time of `import mien`.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from mien.batch.table import read_table
    from mien.core.batch import analyze_many
    from mien.core.dial import dial
    from mien.core.images import read_image
    from mien.core.limits import Limits
    from mien.core.pipeline import Pipeline, analyze
    from mien.errors import ExportError, InputError, MienError, MissingExtra, ModelError
    from mien.facs.observation import Hidden, Pose
    from mien.facs.units import ActionUnits
    from mien.facs.vocabulary import ActionUnit, Expression
    from mien.report.writers import open_writer, write_table
    from mien.results.expression import ExpressionScores
    from mien.results.face import Face, FaceReport, ImageReport, Reading
    from mien.results.frame import FrameReport
    from mien.results.outcome import Outcome
    from mien.video.analyze import analyze_video
    from mien.video.frames import frames

__version__ = "0.1.0"

telemetry.switch_off()

__all__ = [
    "ActionUnit",
    "ActionUnits",
    "ExportError",
    "Expression",
    "ExpressionScores",
    "Face",
    "FaceReport",
    "FrameReport",
    "Hidden",
    "ImageReport",
    "InputError",
    "Limits",
    "MienError",
    "MissingExtra",
    "ModelError",
    "Outcome",
    "Pipeline",
    "Pose",
    "Reading",
    "analyze",
    "analyze_many",
    "analyze_video",
    "dial",
    "frames",
    "open_writer",
    "read_image",
    "read_table",
    "write_table",
]

_HOME = {
    "mien.errors": ("ExportError", "InputError", "MienError", "MissingExtra", "ModelError"),
    "mien.facs.vocabulary": ("ActionUnit", "Expression"),
    "mien.facs.units": ("ActionUnits",),
    "mien.facs.observation": ("Hidden", "Pose"),
    "mien.results.expression": ("ExpressionScores",),
    "mien.results.face": ("Face", "FaceReport", "ImageReport", "Reading"),
    "mien.results.frame": ("FrameReport",),
    "mien.results.outcome": ("Outcome",),
    "mien.core.images": ("read_image",),
    "mien.core.limits": ("Limits",),
    "mien.core.pipeline": ("Pipeline", "analyze"),
    "mien.core.batch": ("analyze_many",),
    "mien.core.dial": ("dial",),
    "mien.video.frames": ("frames",),
    "mien.video.analyze": ("analyze_video",),
    "mien.batch.table": ("read_table",),
    "mien.report.writers": ("open_writer", "write_table"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}


# Hidden from type checkers, to which any name would else be one of mien's.
if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        # Imported when first used, so that `import mien` takes milliseconds and loads neither OpenCV nor ONNX Runtime.
        if name not in _MODULE:
            raise AttributeError(f"module 'mien' has no attribute {name!r}")
        value = getattr(import_module(_MODULE[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__} - {"TYPE_CHECKING"})
