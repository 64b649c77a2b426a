"""Switch off what other libraries send home.

mien says that nothing leaves the machine, and some of the libraries that it stands on send usage statistics unless an
environment variable forbids it. ONNX Runtime's wheels do since 1.30, and write a device id and a database into
~/.cache/Microsoft besides. `import mien` sets these variables, before any of the libraries is imported; processes that
are started from there, Ray's workers too, inherit them. A variable that is set already, to whatever value, is left as
it is: ORT_DISABLE_TELEMETRY=0 switches ONNX Runtime's statistics on again.
"""

import os

SWITCHES = {
    "ORT_DISABLE_TELEMETRY": "1",  # ONNX Runtime
    "HF_HUB_DISABLE_TELEMETRY": "1",  # huggingface_hub, and with it transformers and diffusers
    "HF_HUB_DISABLE_UPDATE_CHECK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
}


def switch_off() -> None:
    """Set the variables that are not set yet."""
    for variable, value in SWITCHES.items():
        os.environ.setdefault(variable, value)


def is_off(variable: str) -> bool:
    """Whether a variable of SWITCHES has the value that switches statistics off."""
    return os.environ.get(variable) == SWITCHES[variable]
