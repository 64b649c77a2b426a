"""A client of an OpenAI-compatible server that ends in time and in bounds, whatever the server does.

Redirects are not followed, answers are read up to MAX_ANSWER bytes and never decompressed, and one deadline covers a
question with all its attempts and pauses: only asyncio can end a connection, a handshake or a header that drips.
"""

import asyncio
import importlib
import threading
import time
import weakref
from collections.abc import AsyncIterator, Mapping
from types import ModuleType
from typing import Any

MAX_ANSWER = 1_000_000


class BoundedClient:
    """Chat completions of one server; may be called from any number of threads.

    api: the library `openai`.   key: the bearer token.
    timeout: seconds for a request with all attempts.   retries: after a broken connection, 408, 409, 429 or 5xx.
    """

    def __init__(self, api: ModuleType, base_url: str, key: str, timeout: float, retries: int) -> None:
        self._timeout = timeout
        self._client = api.AsyncOpenAI(
            base_url=base_url,
            api_key=key,
            timeout=timeout,
            max_retries=retries,
            default_headers={"Accept-Encoding": "identity"},
            http_client=api.DefaultAsyncHttpxClient(
                follow_redirects=False, event_hooks={"response": [_bounded_response(api)]}
            ),
        )
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=_run, args=(self._loop,), name="mien-client", daemon=True).start()
        weakref.finalize(self, self._loop.call_soon_threadsafe, self._loop.stop)

    def deadline(self) -> float:
        """The moment, on the monotonic clock, at which a question asked now ends."""
        return time.monotonic() + self._timeout

    def create(self, deadline: float, **request: Any) -> Any:
        """Return the completion; raise TimeoutError at the deadline, or an error of the library."""
        asked = asyncio.run_coroutine_threadsafe(self._create(deadline - time.monotonic(), request), self._loop)
        try:
            return asked.result()
        except BaseException:  # Ctrl-C too: nobody waits for the answer any more
            asked.cancel()
            raise

    async def _create(self, seconds: float, request: Mapping[str, object]) -> Any:
        async with asyncio.timeout(seconds):
            return await self._client.chat.completions.create(**request)


def _run(loop: asyncio.AbstractEventLoop) -> None:
    loop.run_forever()
    loop.close()


def _bounded_response(api: ModuleType) -> Any:
    """A response hook that lets through MAX_ANSWER bytes as they are, and raises OpenAIError, which is not retried."""
    # openai was built on httpx, and is on httpx2 from 2026 on.
    http = importlib.import_module(api.DefaultAsyncHttpxClient.__base__.__module__.partition(".")[0])

    class BoundedStream(http.AsyncByteStream):  # type: ignore[misc, name-defined]
        """The bytes of another stream."""

        def __init__(self, stream: Any) -> None:
            self._stream = stream

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for chunk in self._stream:
                size += len(chunk)
                if size > MAX_ANSWER:
                    raise api.OpenAIError(f"the answer is longer than {MAX_ANSWER // 1000} kB; no completion is")
                yield chunk

        async def aclose(self) -> None:
            await self._stream.aclose()

    async def bound(response: Any) -> None:
        coding = response.headers.get("content-encoding", "identity")
        if coding.lower() != "identity":
            raise api.OpenAIError(f"the answer is compressed ({coding[:20]}), which was not asked for")
        response.stream = BoundedStream(response.stream)

    return bound
