"""The description of the routes that /openapi.json publishes: what may be sent, and every answer with an example."""

import json
from collections.abc import Sequence
from typing import Any

from mien.results.record import Record
from mien.serve.models import (
    AboutAnswer,
    EventsAnswer,
    HealthAnswer,
    JobAnswer,
    PictureAnswer,
    PicturesAnswer,
    Refusal,
    frame_example,
)

Responses = dict[int | str, Record]
_BINARY = {"type": "string", "format": "binary"}
_FILES = {"type": "array", "items": _BINARY, "minItems": 1}


def _body(content: Record) -> Record:
    return {"requestBody": {"required": True, "content": content}}


def _refused(*statuses: int) -> Responses:
    return {status: {"model": Refusal, "description": _WHY[status]} for status in statuses}


def _answers(first: Record, status: int = 200, refused: Sequence[int] = ()) -> Responses:
    return {status: first, **_refused(*refused)}


def _file(about: str, examples: dict[str, str]) -> Responses:
    content = {kind: {"schema": {"type": "string"}, "example": example} for kind, example in examples.items()}
    return {200: {"description": about, "content": content}}


_WHY = {
    400: "What was sent cannot be used",
    401: "The server wants its token",
    403: "The page that asks is not allowed",
    404: "There is no such clip, or not any more",
    408: "The request came too slowly",
    409: "The clip is not done",
    413: "The request is too large",
    415: "A form where the clip itself is wanted",
    421: "The server does not go by that name",
    422: "A parameter is not among what may be asked",
    501: "A library is missing",
    503: "The server is busy, or being stopped",
    507: "The disk is full",
}
# Of every route.
DOOR = _refused(401, 403, 408, 413, 421, 422, 503)
# A body, or the files of a form whatever its fields are called.
PICTURE_BODY = _body(
    {
        "application/octet-stream": {"schema": _BINARY},
        "multipart/form-data": {
            "schema": {"type": "object", "properties": {"picture": _FILES}, "required": ["picture"]}
        },
    }
)
CLIP_BODY = _body({"application/octet-stream": {"schema": {**_BINARY, "minLength": 1}}})
TABLE_BODY = _body(
    {"application/x-ndjson": {"schema": {"type": "string"}, "example": f"{json.dumps(frame_example())}\n"}}
)
CHAT_BODY = _body(
    {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["model", "messages"],
                "properties": {
                    "model": {"type": "string"},
                    "messages": {"type": "array", "items": {"type": "object"}},
                    "response_format": {"type": "object"},
                    "stream": {"type": "boolean"},
                },
            },
            "example": {
                "model": "mien",
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,/9j/4AAQ"}}],
                    }
                ],
            },
        }
    }
)
_NOT_READ = {"model": PictureAnswer | Refusal, "description": "The picture could not be read, or none came"}
PICTURE: Responses = {200: {"model": PictureAnswer, "description": "What was read"}, 400: _NOT_READ}
PICTURES: Responses = {200: {"model": PictureAnswer | PicturesAnswer, "description": "What was read"}, 400: _NOT_READ}
_HTML = {"text/html": {"schema": {"type": "string"}, "example": "<!DOCTYPE html>"}}
PAGE: Responses = {
    200: {"content": _HTML, "description": "A self-contained page"},
    400: {
        "content": {**_HTML, "application/json": {"schema": Refusal.model_json_schema()}},
        "description": "A page that says why nothing was read, or why none was asked for",
    },
}
_EVENT = 'event: text\ndata: {"face": 0, "text": " The"}\n\n'
WORDS: Responses = {
    200: {
        "content": {"text/event-stream": {"example": _EVENT}},
        "description": "Events: picture, text, face, and at the end done or error",
    },
    400: _NOT_READ,
}
TABLE: Responses = _refused(400) | _file(
    "The table that `mien analyze` writes",
    {
        "text/csv": "input,face,status,error,FaceRectX\r\nphoto.jpg,0,ok,,178.2\r\n",
        "application/x-ndjson": '{"input": "photo.jpg"}\n',
        "application/vnd.apache.parquet": "PAR1",
    },
)
TABLE[200]["content"]["application/json"] = {"schema": {"type": "object"}, "example": {"mien": "0.1.0", "images": []}}
JOB = _answers({"model": JobAnswer, "description": "How far the clip is"}, refused=(404,))
JOB_MADE = _answers(
    {"model": JobAnswer, "description": "The clip waits for its turn; Location is where to ask"}, 202, (400, 415, 507)
)
JOB_GONE = _answers({"description": "It was ended and deleted"}, 204, (404,))
JOB_TABLE: Responses = _refused(400, 404, 409) | _file(
    "A row a face a frame",
    {
        "text/csv": "input,face,status,error,frame,timestamp,track\r\nclip.mp4,0,ok,,0,0.0,0\r\n",
        "application/x-ndjson": '{"input": "clip.mp4"}\n',
        "application/vnd.apache.parquet": "PAR1",
    },
)
JOB_PAGE = _answers({"content": _HTML, "description": "The timeline"}, refused=(404, 409))
JOB_EVENTS = _answers(
    {
        "model": EventsAnswer,
        "description": "Onset, apex and offset of each event",
        "content": {"text/csv": {"schema": {"type": "string"}, "example": "input,track,name,onset\r\n"}},
    },
    refused=(404, 409),
)
HEALTH: Responses = {
    200: {"model": HealthAnswer, "description": "It takes requests"},
    503: {"model": HealthAnswer, "description": "It is being stopped"},
}
ABOUT: Responses = {200: {"model": AboutAnswer, "description": "Models, formats and limits"}}
METRICS = _answers(
    {
        "content": {"text/plain": {"schema": {"type": "string"}, "example": 'mien_answers_total{status="200"} 1.0\n'}},
        "description": "Counts since the start",
    },
    refused=(501,),
)
_CHAT = {"id": "chatcmpl-1", "object": "chat.completion", "choices": [{"index": 0, "message": {"content": "One face"}}]}
_CHAT_ERROR = {"error": {"message": "there is no picture to look at: send one", "type": "invalid_request_error"}}


def _any(about: str, example: Any, **more: Any) -> Record:
    return {
        "description": about,
        "content": {"application/json": {"schema": {"type": "object"}, "example": example}, **more},
    }


CHAT: Responses = {
    200: _any("As OpenAI's", _CHAT, **{"text/event-stream": {"example": "data: [DONE]\n\n"}}),
    **{status: _any("An error as OpenAI's", _CHAT_ERROR) for status in (400, 404, 408, 413, 503)},
}
CHAT_MODELS: Responses = {200: _any("As OpenAI's", {"object": "list", "data": [{"id": "mien", "object": "model"}]})}
