"""Every error that mien raises on purpose. Catch `MienError` to catch them all."""


class MienError(Exception):
    """Base of every error that mien raises on purpose.

    status: the word that stands in a table row when a batch goes on without this input.
    """

    status = "failed"


class InputError(MienError, ValueError):
    """The image, label or file given is not usable; the message says what is."""

    status = "unusable"

    def __init__(self, message: str, status: str | None = None) -> None:
        super().__init__(message)
        if status is not None:
            self.status = status


class InputWarning(UserWarning):
    """An input was read, but not all of it; the message says what was left."""


class ModelError(MienError, ValueError):
    """A model file is missing, damaged, or does not carry the contract that mien needs."""

    status = "model_error"


class MissingExtra(MienError, ImportError):
    """An optional library is not installed; the message gives the pip line."""

    status = "missing_extra"


class ExportError(MienError, RuntimeError):
    """An exported file does not answer as the trained model does, so it was not kept."""

    status = "export_error"
