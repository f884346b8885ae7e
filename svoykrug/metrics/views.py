"""`/metrics`, for Prometheus at an allowed address and for nobody else."""

import fcntl
from functools import cache
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from svoykrug.middleware import client_address

from . import folder, requests
from .state import state_text


@never_cache
@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """Everything in the text format of Prometheus; 404 to whoever is not in METRICS_ALLOWED."""
    if not _may_read(request):
        raise Http404
    return HttpResponse(_requests_text() + state_text(), content_type=CONTENT_TYPE_PLAIN_0_0_4)


def _may_read(request: HttpRequest) -> bool:
    if settings.TRUSTED_PROXIES == 0 and "X-Forwarded-For" in request.headers:
        # A proxy nobody told us of: everybody would come from its address, which may well be allowed.
        return False
    address = ip_address(client_address(request))
    return any(address in network for network in _allowed(tuple(settings.METRICS_ALLOWED)))


@cache
def _allowed(networks: tuple[str, ...]) -> tuple[IPv4Network | IPv6Network, ...]:
    return tuple(ip_network(each) for each in networks)


def _requests_text() -> bytes:
    path = folder.current_folder()
    if path is None:
        return generate_latest(requests.REGISTRY)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(path))
    with folder.locked(fcntl.LOCK_SH):
        return generate_latest(registry)
