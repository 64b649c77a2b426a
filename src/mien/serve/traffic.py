"""Requests in flight and answers so far, as /metrics reports them."""

from collections import Counter
from typing import Any

from mien.extras import optional
from mien.serve.limits import Budget, ServerLimits


class Traffic:
    """Counts of one server, kept on its event loop.

    bytes, requests: in flight, within the limits.   answers: by status of HTTP.   pictures: read, by their status.
    """

    def __init__(self, limits: ServerLimits) -> None:
        self.bytes, self.requests = Budget(limits.bytes_in_flight), Budget(limits.requests)
        self.answers: Counter[int] = Counter()
        self.pictures: Counter[str] = Counter()
        self.reading_seconds = 0.0

    def exposition(self) -> tuple[str, bytes]:
        """Return media type and text of the metrics for Prometheus; raise MissingExtra without its library."""
        library = optional("prometheus_client", "serve")
        registry = library.CollectorRegistry()
        registry.register(_Collected(self._families(optional("prometheus_client.core", "serve"))))
        return library.CONTENT_TYPE_LATEST, library.generate_latest(registry)

    def _families(self, core: Any) -> list[Any]:
        answers = core.CounterMetricFamily("mien_answers", "Answers by status of HTTP", labels=["status"])
        for status, count in self.answers.items():
            answers.add_metric([str(status)], count)
        pictures = core.CounterMetricFamily("mien_pictures", "Pictures by what became of them", labels=["status"])
        for name, count in self.pictures.items():
            pictures.add_metric([name], count)
        return [
            answers,
            pictures,
            core.SummaryMetricFamily(
                "mien_reading_seconds",
                "From a picture's bytes to its answer",
                count_value=sum(self.pictures.values()),
                sum_value=self.reading_seconds,
            ),
            core.GaugeMetricFamily("mien_requests_in_flight", "Received, waiting or read", value=self.requests.used),
            core.GaugeMetricFamily("mien_bytes_in_flight", "Of these requests", value=self.bytes.used),
        ]


class _Collected:
    """A collector of what was made already."""

    def __init__(self, families: list[Any]) -> None:
        self._families = families

    def collect(self) -> list[Any]:
        return self._families
