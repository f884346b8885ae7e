"""Routes of the whole site."""

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, include, path, re_path
from django.utils.translation import gettext as _
from django.views import defaults
from django.views.decorators.csrf import csrf_exempt
from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView

from svoykrug.health import healthz, readyz
from svoykrug.metrics.views import metrics
from svoykrug.problems import problem_response

API = "/api/"


@csrf_exempt
def api_not_found(request: HttpRequest, **kwargs: str) -> HttpResponse:
    """An unknown address under /api/, whatever the method and however debugging is set."""
    return problem_response(request, status=404, code="not_found", detail=_("There is no such address."))


urlpatterns: list[URLPattern | URLResolver] = [
    # Django asks the routes in turn, so those of the tills come first.
    path("api/v1/", include("promos.api.urls")),
    path("api/v1/", include("loyalty.api.urls")),
    path("api/v1/", include("analytics.api.urls")),
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("api/schema/", SpectacularAPIView.as_view(), name="api-schema"),
    path(
        "api/docs/",
        SpectacularSwaggerSplitView.as_view(url_name="api-schema", template_name="svoykrug/api_docs.html"),
        name="api-docs",
    ),
    re_path(r"^api(?:/|$)", api_not_found),
    path("admin/second-factor/", include("svoykrug.second_factor")),
    path("admin/", admin.site.urls),
    path("", include("loyalty.urls")),
]


def handler400(request: HttpRequest, exception: Exception) -> HttpResponse:
    if request.path.startswith(API):
        return problem_response(request, status=400, code="invalid", detail=_("The request cannot be read."))
    return defaults.bad_request(request, exception)


def handler404(request: HttpRequest, exception: Http404) -> HttpResponse:
    if request.path.startswith(API):
        return api_not_found(request)
    return defaults.page_not_found(request, exception)


def handler500(request: HttpRequest) -> HttpResponse:
    if request.path.startswith(API):
        return problem_response(
            request, status=500, code="internal_error", detail=_("Name request_id when you ask for help.")
        )
    return defaults.server_error(request)
