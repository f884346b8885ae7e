"""Requests by route, method and status: how many, and how long they took."""

from collections.abc import Callable
from functools import cache
from time import perf_counter

from django.http import HttpRequest, HttpResponse
from prometheus_client import CollectorRegistry, Counter, Histogram

REGISTRY = CollectorRegistry()
REQUESTS = Counter(
    "svoykrug_http_requests",
    "Requests answered, by route, method and status",
    ["route", "method", "status"],
    registry=REGISTRY,
)
# 0.15 s is what 99 of 100 purchases take at most (docs/benchmarks.md).
SECONDS = Histogram(
    "svoykrug_http_request_duration_seconds",
    "Time from the first middleware to the answer, by route and method",
    ["route", "method"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 10),
    registry=REGISTRY,
)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def metrics_middleware(
    get_response: Callable[[HttpRequest], HttpResponse],
) -> Callable[[HttpRequest], HttpResponse]:
    """Count the request under the name of its route: addresses hold ids and codes."""

    def middleware(request: HttpRequest) -> HttpResponse:
        began = perf_counter()
        response = get_response(request)
        match = request.resolver_match
        # Anybody may invent methods and addresses; each would be a series for ever.
        method = request.method if request.method in METHODS else "other"
        count, took = _series(match.view_name if match else "none", method, response.status_code)
        count.inc()
        took.observe(perf_counter() - began)
        return response

    return middleware


@cache
def _series(route: str, method: str, status: int) -> tuple[Counter, Histogram]:
    return REQUESTS.labels(route, method, str(status)), SECONDS.labels(route, method)
