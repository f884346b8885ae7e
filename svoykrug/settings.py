"""Every setting is read from the environment here and nowhere else; `.env.example` explains each.

In development an address that is not set is that of the embedded servers (`manage.py services`).
"""

from datetime import date
from decimal import Decimal
from pathlib import Path
from urllib.parse import urlsplit

import environ
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from svoykrug.embedded.addresses import read_addresses
from svoykrug.environment import EnvironmentOrFile
from svoykrug.unfold import UNFOLD  # noqa: F401  the admin's theme

BASE_DIR = Path(__file__).resolve().parent.parent
LOCAL_DIR = BASE_DIR / ".local"

environ.Env.read_env(BASE_DIR / ".env")
env = environ.Env()
env.ENVIRON = EnvironmentOrFile()

ENVIRONMENT = env.str("SVOYKRUG_ENV", default="development")
if ENVIRONMENT not in {"development", "production"}:
    raise ImproperlyConfigured("SVOYKRUG_ENV is 'development' or 'production'.")
PRODUCTION = ENVIRONMENT == "production"
DEBUG = env.bool("DEBUG", default=not PRODUCTION)

# A development key signs nothing that matters; the system checks refuse it in production.
DEVELOPMENT_SECRET_KEY = "development-only-key-not-for-production-0123456789"  # noqa: S105
SECRET_KEY = env.str("SECRET_KEY", default=DEVELOPMENT_SECRET_KEY)
JWT_SIGNING_KEY = env.str("JWT_SIGNING_KEY", default=DEVELOPMENT_SECRET_KEY + "-jwt")
# The first one encrypts, all of them decrypt.
ENCRYPTION_KEYS = env.list("ENCRYPTION_KEYS", default=[DEVELOPMENT_SECRET_KEY + "-encryption"])
# Points at which tests kill the process (failpoints.py).
FAILPOINTS = frozenset(env.list("FAILPOINTS", default=[]))
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[] if PRODUCTION else ["*"])
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

# --- Servers -------------------------------------------------------------------------------------
_embedded = {} if PRODUCTION else read_addresses(LOCAL_DIR)
DATABASE_URL = env.str("DATABASE_URL", default=_embedded.get("DATABASE_URL", ""))
CLICKHOUSE_URL = env.str("CLICKHOUSE_URL", default=_embedded.get("CLICKHOUSE_URL", ""))
# Name of the ClickHouse cluster whose nodes all keep everything; empty for a single server.
CLICKHOUSE_CLUSTER = env.str("CLICKHOUSE_CLUSTER", default="")
REDIS_URL = env.str("REDIS_URL", default=_embedded.get("REDIS_URL", ""))
# How ClickHouse reaches PostgreSQL, where that differs from DATABASE_URL (another network), host:port.
POSTGRES_ADDRESS_FOR_CLICKHOUSE = env.str("POSTGRES_ADDRESS_FOR_CLICKHOUSE", default="")
# Password of the read-only role svoykrug_export; empty derives one from SECRET_KEY.
EXPORT_DB_PASSWORD = env.str("EXPORT_DB_PASSWORD", default="")

try:
    _database = environ.Env.db_url_config(DATABASE_URL or "postgres://not-started@127.0.0.1:1/svoykrug")
except ValueError as error:
    raise ImproperlyConfigured(f"DATABASE_URL is not an address: {error}.") from error
DATABASES = {
    "default": {
        # An empty address is named by a system check; this one only keeps the settings importable.
        **_database,
        "ENGINE": "svoykrug.db.postgresql",
        "CONN_MAX_AGE": env.int("DATABASE_CONN_MAX_AGE", default=60),
        "CONN_HEALTH_CHECKS": True,
        # Plans are kept as svoykrug/db/plans.py says; guessing anew for each value would undo it.
        "OPTIONS": {
            "options": "-c lock_timeout=3000 -c idle_in_transaction_session_timeout=60000"
            " -c plan_cache_mode=force_generic_plan"
        },
    }
}

_redis = urlsplit(REDIS_URL)
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": REDIS_URL or "redis://127.0.0.1:1/0",
        "KEY_PREFIX": "svoykrug",
    }
}

# --- Applications --------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "whitenoise.runserver_nostatic",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django.contrib.postgres",
    "csp",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "drf_standardized_errors",
    "django_celery_beat",
    "pgtrigger",
    "svoykrug",
    "loyalty",
    "promos",
    "events",
    "analytics",
]

MIDDLEWARE = [
    "svoykrug.metrics.requests.metrics_middleware",
    "svoykrug.middleware.request_id_middleware",
    "django.middleware.security.SecurityMiddleware",
    "svoykrug.page_middleware.PagePolicy",
    "svoykrug.middleware.admin_policy_middleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "svoykrug.page_middleware.PageSession",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "svoykrug.page_middleware.PageUser",
    "svoykrug.middleware.admin_password_middleware",
    "svoykrug.second_factor.second_factor_middleware",
    "svoykrug.middleware.actor_middleware",
    "svoykrug.page_middleware.PageMessages",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "svoykrug.page_middleware.PageHtmx",
]

ROOT_URLCONF = "svoykrug.urls"
WSGI_APPLICATION = "svoykrug.wsgi.application"
AUTH_USER_MODEL = "loyalty.Member"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

# --- Language, time, static files ----------------------------------------------------------------
LANGUAGE_CODE = "ru"
LANGUAGES = [("ru", _("Russian")), ("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
# The programme's own zone: days, months and expiry are counted in it.
TIME_ZONE = env.str("PROGRAMME_TIME_ZONE", default="Europe/Moscow")

STATIC_URL = "/static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
if PRODUCTION:
    STORAGES = {
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }

# --- Rules of the programme (specification, rules.md) --------------------------------------------
PROGRAMME_STARTED_ON = date.fromisoformat(env.str("PROGRAMME_STARTED_ON", default="1995-01-01"))
LOT_LIFETIME_DAYS = env.int("LOT_LIFETIME_DAYS", default=365)
# A lot that ran out before its redeemed bonuses came back by a refund lives so many days more.
RESTORED_LOT_DAYS = env.int("RESTORED_LOT_DAYS", default=14)
TURNOVER_WINDOW_DAYS = env.int("TURNOVER_WINDOW_DAYS", default=365)
# So does a coupon that ran out before its purchase was refunded.
FREED_COUPON_DAYS = env.int("FREED_COUPON_DAYS", default=14)
# Days left when members are told that a coupon is about to run out.
COUPON_WARNING_DAYS = env.int("COUPON_WARNING_DAYS", default=3)
# All bonuses of a purchase, with every offer and coupon, come to no more than this of what earns, per cent.
OFFER_CAP_PERCENT = Decimal(env.str("OFFER_CAP_PERCENT", default="50"))
# A quote's promise, and what it sets aside.
QUOTE_MINUTES = env.int("QUOTE_MINUTES", default=15)
MAX_FUTURE_HOURS = env.int("MAX_FUTURE_HOURS", default=24)
PARKED_REFUND_DAYS = env.int("PARKED_REFUND_DAYS", default=30)
# Days left when members are told that bonuses are about to lapse.
EXPIRY_WARNING_DAYS = env.list("EXPIRY_WARNING_DAYS", cast=int, default=[30, 7, 1])
# No message goes out from the first hour to the second, in programme time.
QUIET_FROM_HOUR = env.int("QUIET_FROM_HOUR", default=21)
QUIET_UNTIL_HOUR = env.int("QUIET_UNTIL_HOUR", default=9)
# A newcomer's first purchase of this much rewards both sides of an invitation; their bonuses wait
# some days, and an inviter is rewarded for so many invitations in a calendar month.
REFERRAL_MIN_PURCHASE_RUB = Decimal(env.str("REFERRAL_MIN_PURCHASE_RUB", default="500.00"))
REFERRAL_NEWCOMER_BONUS = Decimal(env.str("REFERRAL_NEWCOMER_BONUS", default="150.00"))
REFERRAL_INVITER_BONUS = Decimal(env.str("REFERRAL_INVITER_BONUS", default="300.00"))
REFERRAL_PENDING_DAYS = env.int("REFERRAL_PENDING_DAYS", default=14)
REFERRAL_MONTHLY_LIMIT = env.int("REFERRAL_MONTHLY_LIMIT", default=10)
# A purchase above this is stored and flagged in its explanation; it is never lost.
LARGE_PURCHASE_RUB = Decimal(env.str("LARGE_PURCHASE_RUB", default="1000000.00"))
# What no till can mean: refused.
AMOUNT_LIMIT_RUB = Decimal(env.str("AMOUNT_LIMIT_RUB", default="99999999.99"))

# --- Sign-in by phone code -----------------------------------------------------------------------
OTP_LIFETIME_SECONDS = env.int("OTP_LIFETIME_SECONDS", default=300)
# How much longer the code of a newcomer lives, who has texts of consents to read first.
OTP_READING_SECONDS = env.int("OTP_READING_SECONDS", default=900)
OTP_TRIES = env.int("OTP_TRIES", default=5)
# Codes asked for by one phone in 15 minutes and in a day, by one address and by all in an hour.
OTP_REQUESTS_PER_PHONE = env.int("OTP_REQUESTS_PER_PHONE", default=5)
OTP_REQUESTS_PER_PHONE_AND_DAY = env.int("OTP_REQUESTS_PER_PHONE_AND_DAY", default=30)
OTP_REQUESTS_PER_ADDRESS = env.int("OTP_REQUESTS_PER_ADDRESS", default=100)
OTP_REQUESTS_IN_ALL = env.int("OTP_REQUESTS_IN_ALL", default=5000)
# Answers tried by one address in an hour.
OTP_ATTEMPTS_PER_ADDRESS = env.int("OTP_ATTEMPTS_PER_ADDRESS", default=200)
# How many of our own proxies stand in front and append to X-Forwarded-For. Behind one, 0 would make
# all callers one address and share its limits.
TRUSTED_PROXIES = env.int("TRUSTED_PROXIES", default=0)
# Seconds a webhook's receiver has for its whole answer.
WEBHOOK_SECONDS = env.int("WEBHOOK_SECONDS", default=10)
# Networks that webhooks may lead into although they are private, and by plain http: tests, a first look.
OUTBOUND_ALLOWED_NETWORKS = env.list("OUTBOUND_ALLOWED_NETWORKS", default=[])
# A function (phone, code, purpose); the default one works in development only.
OTP_DELIVERY = env.str("OTP_DELIVERY", default="loyalty.services.code_delivery.to_console")
ACCESS_TOKEN_MINUTES = env.int("ACCESS_TOKEN_MINUTES", default=15)
REFRESH_TOKEN_DAYS = env.int("REFRESH_TOKEN_DAYS", default=30)
# For so long a refresh whose answer was lost on the way is answered once more.
REFRESH_GRACE_SECONDS = env.int("REFRESH_GRACE_SECONDS", default=10)

# --- Staff's second step --------------------------------------------------------------------------
# Whoever enters the admin has to have one. Off for a first look: the demo's logins have none.
STAFF_SECOND_FACTOR_REQUIRED = env.bool("STAFF_SECOND_FACTOR_REQUIRED", default=PRODUCTION)
# Codes tried by one person in 15 minutes.
SECOND_FACTOR_TRIES = env.int("SECOND_FACTOR_TRIES", default=5)
# Passwords tried for one phone in 15 minutes, and from one address in an hour.
PASSWORD_TRIES_PER_PHONE = env.int("PASSWORD_TRIES_PER_PHONE", default=10)
PASSWORD_TRIES_PER_ADDRESS = env.int("PASSWORD_TRIES_PER_ADDRESS", default=100)

# --- Presence: the code a member shows to spend bonuses -------------------------------------------
PRESENCE_CODE_SECONDS = env.int("PRESENCE_CODE_SECONDS", default=60)
# A code with less left is not shown again: the cashier would not get it typed in.
PRESENCE_LEAST_SECONDS = env.int("PRESENCE_LEAST_SECONDS", default=15)
# So many wrong codes at one till within the window lock it.
PRESENCE_TRIES = env.int("PRESENCE_TRIES", default=5)
PRESENCE_WINDOW_SECONDS = env.int("PRESENCE_WINDOW_SECONDS", default=900)
PRESENCE_LOCK_SECONDS = env.int("PRESENCE_LOCK_SECONDS", default=900)
# How long the receipt that used a code may be sent again with it.
PRESENCE_REPEAT_SECONDS = env.int("PRESENCE_REPEAT_SECONDS", default=900)
# Codes one till may have sent to phones in an hour; a phone's own limits are those of OTP_REQUESTS.
PRESENCE_SENT_PER_TILL = env.int("PRESENCE_SENT_PER_TILL", default=300)

LOGIN_URL = "member-sign-in"
# Of the staff's password page; members' own says itself where it leads.
LOGIN_REDIRECT_URL = "admin:index"
AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend", "loyalty.backends.PhoneCodeBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- API -----------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "loyalty.api.authentication.ApiKeyAuthentication",
        "loyalty.api.authentication.MemberTokenAuthentication",
    ],
    # A view that forgets to say who may call it lets nobody in but the authenticated.
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_PARSER_CLASSES": ["svoykrug.json_parser.StrictJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["svoykrug.json_renderer.FastJSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "svoykrug.pagination.NewestFirst",
    "DEFAULT_SCHEMA_CLASS": "svoykrug.schema.CallSchema",
    "EXCEPTION_HANDLER": "svoykrug.problems.exception_handler",
    "URL_FORMAT_OVERRIDE": None,
}
# How long an Idempotency-Key is known.
IDEMPOTENCY_HOURS = env.int("IDEMPOTENCY_HOURS", default=24)
# Calls in a minute by one API key, by one member, and by one address that shows no credential.
API_CALLS_PER_KEY = env.int("API_CALLS_PER_KEY", default=120_000)
API_CALLS_PER_MEMBER = env.int("API_CALLS_PER_MEMBER", default=6_000)
API_CALLS_PER_ADDRESS = env.int("API_CALLS_PER_ADDRESS", default=6_000)
# A batch of 1,000 purchases with their lines.
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
# The leeway covers clocks of several web servers.
SIMPLE_JWT = {"SIGNING_KEY": JWT_SIGNING_KEY, "ALGORITHM": "HS256", "ISSUER": "svoykrug", "LEEWAY": 5}
SPECTACULAR_SETTINGS = {
    "TITLE": "Свой Круг",
    "DESCRIPTION": "Coalition loyalty: purchases of tills, members' bonuses and coupons.",
    "VERSION": "1",
    "SERVE_PUBLIC": True,
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    # Everything the page loads is our own (drf-spectacular-sidecar).
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "svoykrug.schema.describe_health",
    ],
    "ENUM_NAME_OVERRIDES": {
        "TransactionKind": "loyalty.models.Transaction.Kind",
        "EntryKind": "loyalty.models.BonusEntry.Kind",
        "WebhookStatus": "loyalty.models.WebhookEndpoint.Status",
        "WebhookWanted": "loyalty.api.webhooks.MAY_SET",
        "DeliveryStatus": "loyalty.models.WebhookDelivery.Status",
    },
    "TAGS": [
        {"name": "auth", "description": "Members sign in by a code sent to the phone"},
        {"name": "me", "description": "The member's own data"},
        {"name": "transactions", "description": "Purchases and refunds of a business"},
        {"name": "members", "description": "Members as a till sees them"},
        {"name": "analytics", "description": "Reports of a business: sums and counts, nobody by name"},
        {"name": "crm", "description": "What CRMs and tills of vendors tell in their own words"},
        {"name": "webhook-endpoints", "description": "Where a business's systems are told what happens"},
        {"name": "webhook-deliveries", "description": "What they were told and how they answered"},
        {"name": "health", "description": "Is the process alive; can it serve"},
    ],
}

# --- Log -----------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {"()": "svoykrug.log.JsonFormatter"},
        "plain": {"format": "%(levelname)s %(name)s: %(message)s"},
    },
    "handlers": {
        "stderr": {"class": "logging.StreamHandler", "formatter": "json" if PRODUCTION else "plain"}
    },
    "root": {"handlers": ["stderr"], "level": "INFO" if PRODUCTION else "WARNING"},
    "loggers": {
        # Django's own handlers would print in development only and mail errors elsewhere.
        "django": {"handlers": [], "level": "INFO"},
        # A refusal is no news.
        "django.request": {"level": "ERROR"},
        # It prints a traceback for each failed connection; our own line says it in one.
        "clickhouse_driver": {"level": "CRITICAL"},
    },
}
# In production the worker's lines look like all others; in development they are Celery's own, in colours.
CELERY_WORKER_HIJACK_ROOT_LOGGER = not PRODUCTION

# --- Metrics --------------------------------------------------------------------------------------
# Networks from which /metrics is answered; to others it does not exist.
METRICS_ALLOWED = env.list("METRICS_ALLOWED", default=["127.0.0.0/8", "::1"])
# The web processes' counters; each gunicorn makes a folder of its own in it and clears it away.
METRICS_FOLDER = env.str("METRICS_FOLDER", default=str(LOCAL_DIR / "metrics"))

# --- Celery --------------------------------------------------------------------------------------
CELERY_BROKER_URL = f"redis+socket://{_redis.path}?virtual_host=1" if _redis.scheme == "unix" else REDIS_URL
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_SOFT_TIME_LIMIT = 1500
CELERY_TASK_TIME_LIMIT = 1800
CELERY_BROKER_TRANSPORT_OPTIONS = {"visibility_timeout": 3600}
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"

# --- Security ------------------------------------------------------------------------------------
if PRODUCTION:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^(healthz|readyz|metrics)$"]
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
X_FRAME_OPTIONS = "DENY"
# The table holds hashes of the keys, as of all that opens something.
SESSION_ENGINE = "svoykrug.hashed_sessions"
SESSION_COOKIE_AGE = 30 * 86_400
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "frame-ancestors": ["'none'"],
        "form-action": ["'self'"],
        "base-uri": ["'self'"],
    }
}
