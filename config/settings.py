"""Frontdesk's settings. Everything that varies comes from the environment; `.env.example` lists it all."""

import base64
import binascii
import re
import warnings
from collections.abc import Callable
from email.utils import getaddresses
from io import StringIO
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import available_timezones

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from automations.outgoing.addresses import parse_allowed_hosts
from config.env_file import lines_of_env_file
from config.oidc import read_oidc
from config.postgresql import REPLICA_SAMPLE, set_up_backup, set_up_failover, set_up_postgresql, set_up_replica
from config.secret_files import with_secret_files
from config.secrets import made_secret_key, private_folder

BASE_DIR = Path(__file__).resolve().parent.parent

env = environ.Env()
env.read_env(StringIO("\n".join(lines_of_env_file(BASE_DIR / ".env"))))
# An empty variable is one that is not set: containers and .env files pass them so.
env.ENVIRON = {name: value for name, value in env.ENVIRON.items() if value}
# Each may also come from a file, which NAME_FILE names.
SECRETS = (
    *("SECRET_KEY", "DATABASE_URL", "REPORTS_DATABASE_URL", "BACKUP_DATABASE_URL"),
    *("WEBHOOK_SECRET", "ENCRYPTION_KEYS", "EMAIL_URL", "ADMIN_PASSWORD", "OIDC_CLIENT_SECRET"),
)
env.ENVIRON = with_secret_files(env.ENVIRON, SECRETS, BASE_DIR)


def _whole_number(name: str, default: int, least: int = 0, most: int = 10**9) -> int:
    text = env(name, default="") or str(default)
    if not text.isdecimal() or len(text) > 10 or not least <= int(text) <= most:
        raise ImproperlyConfigured(
            f"{name} is {text[:50]!r}; give a whole number from {least} to {most}: {default}, say"
        )
    return int(text)


def _yes_or_no(name: str, default: bool) -> bool:
    text = env(name, default="").lower()
    if text not in ("", "yes", "no", "true", "false", "1", "0"):
        raise ImproperlyConfigured(f"{name} is {text[:50]!r}; give yes or no")
    return text in ("yes", "true", "1") if text else default


def _encryption_keys(name: str) -> list[str]:
    """Fernet keys, newest first. They are secrets, so an error repeats none."""
    keys = [text.strip() for text in env(name, default="").split(",") if text.strip()]
    for place, key in enumerate(keys, 1):
        try:
            is_key = len(base64.b64decode(key, altchars=b"-_", validate=True)) == 32
        except (binascii.Error, ValueError):
            is_key = False
        if not is_key:
            raise ImproperlyConfigured(
                f"{name}: number {place} of {len(keys)} is no key. Make one with: python3 -c 'import base64, os; "
                "print(base64.urlsafe_b64encode(os.urandom(32)).decode())', and divide several by commas"
            )
    return keys


def _address(name: str, read: Callable[..., dict[str, Any]], default: str, sample: str) -> dict[str, Any]:
    """An address such as a database's. It may hold a password, so an error does not repeat it."""
    try:
        with warnings.catch_warnings(action="ignore"):  # which repeat it
            found = read(name, default=default)
    except (ImproperlyConfigured, KeyError, ValueError) as error:
        raise ImproperlyConfigured(
            f"{name} cannot be read. Give an address such as {sample}. What is special in an address, such as / in a "
            "password, is written as %2F"
        ) from error
    return found


def sender_by_host(host: str | None) -> str:
    """Who mails are from where Frontdesk is reached by that host. Blank for what no mail server would look up."""
    is_name = re.fullmatch(r"([\w-]+\.)+[^\W\d_][\w-]+", host or "")
    return f"Frontdesk <frontdesk@{host}>" if is_name else ""


DATA_DIR = Path(env("DATA_DIR", default="data"))
if not DATA_DIR.is_absolute():
    DATA_DIR = BASE_DIR / DATA_DIR
private_folder(DATA_DIR)

IS_SECRET_KEY_GIVEN = bool(env("SECRET_KEY", default=""))
SECRET_KEY = env("SECRET_KEY", default="") or made_secret_key(DATA_DIR)
DEBUG = False

# Where people and LiveTok reach Frontdesk. Hosts, CSRF, cookies and HSTS follow from it.
PUBLIC_URL = env("PUBLIC_URL", default="")
try:
    _public = urlsplit(PUBLIC_URL)
    # No slash at the end, either: Caddy, which takes the address from the same variable, would answer "/" alone.
    _is_public_url = _public.scheme in ("http", "https") and _public.hostname and _public.port != 0
    _is_public_url = _is_public_url and not (_public.path or _public.query or _public.fragment)
except ValueError:
    _is_public_url = False
if PUBLIC_URL and not _is_public_url:
    raise ImproperlyConfigured(
        f"PUBLIC_URL is {PUBLIC_URL!r}; give scheme and host alone, such as https://frontdesk.example.com"
    )
IS_HTTPS = _public.scheme == "https"
HOST = env("HOST", default="127.0.0.1")
PORT = _whole_number("PORT", 8000, least=1, most=65_535)
WEB_PROCESSES = _whole_number("WEB_PROCESSES", 2, least=1, most=100)

ALLOWED_HOSTS = [_public.hostname] if _public.hostname else []
ALLOWED_HOSTS += ["localhost", "127.0.0.1", "[::1]"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL] if PUBLIC_URL else []
CSRF_FAILURE_VIEW = "config.csrf_failure.csrf_failure"
try:
    TRUSTED_PROXIES = [ip_network(text) for text in env.list("TRUSTED_PROXIES", default=["127.0.0.0/8", "::1"])]
except ValueError as error:
    raise ImproperlyConfigured(f"TRUSTED_PROXIES: {error}; list addresses or networks, divided by commas") from error

# Safe because config.middleware.trusted_proxies drops the header when it comes from anybody else.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_SSL_REDIRECT = IS_HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if IS_HTTPS else 0
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = IS_HTTPS
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Subdomains and the preload list are the domain owner's decision, not one host's.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

INSTALLED_APPS = [
    "config.apps.FrontdeskAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "csp",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "simple_history",
    "import_export",
    "customers",
    "sessions_app",
    "automations",
    "config",
]

# LiveTok's requests leave at machine_addresses: only what stands before it applies to them.
MIDDLEWARE = [
    "config.headers.constant_headers",
    "config.middleware.trusted_proxies",
    "config.middleware.machine_addresses",
    "config.csrf_failure.tell_of_untrusted_proxies",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "config.readable.readable_cookies",
    "config.time_limit.limited_statements",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.middleware.numbers_as_allowed",
    "config.readable.readable_addresses",
    "sessions_app.reports.frame.own_writes.remember_writes",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "simple_history.middleware.HistoryRequestMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "config.sign_in.staying.signed_in_for_a_time",
    "config.sign_in.staying.second_factor_shown",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"

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
                "config.sign_in.pages.frame",
            ],
        },
    },
]
# Our own templates may replace those of any app, forms' widgets included.
FORM_RENDERER = "django.forms.renderers.DjangoTemplates"

DATABASE_SAMPLE = "postgres://user:password@127.0.0.1:5432/frontdesk, or leave it out for an SQLite file"
DATABASES = {
    "default": _address("DATABASE_URL", env.db, f"sqlite:///{DATA_DIR / 'frontdesk.sqlite3'}", DATABASE_SAMPLE)
}
IS_SQLITE = DATABASES["default"].get("ENGINE") == "django.db.backends.sqlite3"
if not IS_SQLITE and DATABASES["default"].get("ENGINE") != "django.db.backends.postgresql":
    raise ImproperlyConfigured(f"DATABASE_URL names no database that Frontdesk knows. Give {DATABASE_SAMPLE}")
if not DATABASES["default"].get("NAME"):
    raise ImproperlyConfigured(f"DATABASE_URL does not say which database. Give {DATABASE_SAMPLE}")
# PgBouncer lends a connection of PostgreSQL's for one transaction, so that nothing may be kept in one beyond that.
DATABASE_POOLER = env("DATABASE_POOLER", default="").lower()
if DATABASE_POOLER not in ("", "transaction"):
    raise ImproperlyConfigured(
        f"DATABASE_POOLER is {DATABASE_POOLER[:50]!r}; give transaction where DATABASE_URL leads to PgBouncer in "
        "transaction mode, or leave it out"
    )
if DATABASE_POOLER and IS_SQLITE:
    raise ImproperlyConfigured(
        "DATABASE_POOLER is for PostgreSQL, and the database is an SQLite file. Leave it out, or set DATABASE_URL"
    )
DATABASE_PREPARE = _yes_or_no("DATABASE_PREPARE", default=not DATABASE_POOLER)
if env("DATABASE_PREPARE", default="") and not DATABASE_POOLER:
    raise ImproperlyConfigured(
        "DATABASE_PREPARE says what a pooler can do, and DATABASE_POOLER names none. Leave it out, or set "
        "DATABASE_POOLER=transaction"
    )
if IS_SQLITE:
    DATABASES["default"]["OPTIONS"] = {
        # BEGIN IMMEDIATE is the lock that select_for_update is on PostgreSQL.
        "transaction_mode": "IMMEDIATE",
        "timeout": 5,
        "init_command": (
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA journal_size_limit=67108864; "
            # What is deleted is overwritten, as Debian's SQLite does by itself: erasing means the file, too.
            "PRAGMA secure_delete=ON;"
        ),
    }
    DATABASES["default"]["CONN_MAX_AGE"] = None
else:
    set_up_postgresql("DATABASE_URL", DATABASES["default"])
    set_up_failover("DATABASE_URL", DATABASES["default"])

# A replica that report pages and exports read.
if env("REPORTS_DATABASE_URL", default=""):
    DATABASES["reports"] = _address("REPORTS_DATABASE_URL", env.db, "", REPLICA_SAMPLE)
    set_up_replica(DATABASES["reports"], is_primary_sqlite=IS_SQLITE)
    DATABASE_ROUTERS = ["sessions_app.database.replica.Router"]

# What pg_dump and pg_restore connect to, where DATABASE_URL names a pooler.
BACKUP_DATABASE: dict[str, Any] = {}
if env("BACKUP_DATABASE_URL", default=""):
    BACKUP_DATABASE = _address("BACKUP_DATABASE_URL", env.db_url, "", DATABASE_SAMPLE)
    BACKUP_DATABASE = set_up_backup(BACKUP_DATABASE, DATABASES["default"], is_primary_sqlite=IS_SQLITE)

# Where the worker puts a backup each night. Left out: it makes none.
BACKUP_DIR = Path(env("BACKUP_DIR")) if env("BACKUP_DIR", default="") else None
if BACKUP_DIR is not None and not BACKUP_DIR.is_absolute():
    BACKUP_DIR = BASE_DIR / BACKUP_DIR

# Counts of wrong passwords, which all processes share. Strangers fill it, so it is bounded. An SQLite file is of one
# machine, and its one writer may be LiveTok's: files beside it serve as well.
CACHES = {
    "default": {
        "BACKEND": "config.shared_cache.SharedCache" if IS_SQLITE else "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": DATA_DIR / "cache" if IS_SQLITE else "config_cacheentry",
        "OPTIONS": {"MAX_ENTRIES": 2000},
    }
}

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# The algorithm is Django's own.
PASSWORD_HASHERS = ["config.hashing.OneAtATime"]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "admin:index"

# Signed out after so long without a page, and so long after signing in.
SIGN_IN_IDLE_HOURS = _whole_number("SIGN_IN_IDLE_HOURS", 8, least=1, most=8_760)
SIGN_IN_DAYS = _whole_number("SIGN_IN_DAYS", 7, least=1, most=365)
SESSION_COOKIE_AGE = SIGN_IN_DAYS * 86_400
# Whether each sign-in must have shown a second factor.
REQUIRE_MFA = _yes_or_no("REQUIRE_MFA", default=False)
ACCOUNT_ADAPTER = "config.sign_in.adapters.Accounts"
ACCOUNT_FORMS = {
    "login": "config.sign_in.forms.SignInForm",
    "change_password": "config.sign_in.forms.PasswordForm",
}
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_LOGOUT_REDIRECT_URL = "account_login"
# Guesses are counted by config.sign_in.guesses.
ACCOUNT_RATE_LIMITS = False
MFA_ADAPTER = "config.sign_in.adapters.SecondFactors"
MFA_FORMS = {
    "authenticate": "config.sign_in.forms.CodeForm",
    "reauthenticate": "config.sign_in.forms.CodeAgainForm",
    "activate_totp": "config.sign_in.forms.AppForm",
    "add_webauthn": "config.sign_in.forms.KeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_TOTP_TOLERANCE = 1  # clocks of phones are seldom off by more than half a minute
MFA_ALLOW_UNVERIFIED_EMAIL = True
# Browsers allow keys without HTTPS on this machine alone.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not IS_HTTPS

# Single sign-on, where an issuer is set.
OIDC = read_oidc(
    {
        "OIDC_ISSUER": env("OIDC_ISSUER", default=""),
        "OIDC_CLIENT_ID": env("OIDC_CLIENT_ID", default=""),
        "OIDC_CLIENT_SECRET": env("OIDC_CLIENT_SECRET", default=""),
        "OIDC_NAME": env("OIDC_NAME", default=""),
        "OIDC_SCOPES": env("OIDC_SCOPES", default=""),
        "OIDC_GROUPS_CLAIM": env("OIDC_GROUPS_CLAIM", default=""),
        "OIDC_GROUPS": env("OIDC_GROUPS", default=""),
    }
)
SOCIALACCOUNT_ADAPTER = "config.sign_in.adapters.SingleSignOn"
SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"provider_class": "config.sign_in.issuer.Issuer"}}
SOCIALACCOUNT_EMAIL_VERIFICATION = "none"
# Of each request to the issuer, which somebody waits for.
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5
# A form's answer may not lead to another site (CONTENT_SECURITY_POLICY), so a link does.
SOCIALACCOUNT_LOGIN_ON_GET = True

LANGUAGE_CODE = "en"
USE_I18N = True
FORMAT_MODULE_PATH = ["config.formats"]
USE_TZ = True
# The company's time zone: pages are shown in it, and customers without one of their own are counted in it.
TIME_ZONE = env("TIME_ZONE", default="UTC")
if TIME_ZONE not in available_timezones():
    raise ImproperlyConfigured(f"TIME_ZONE is {TIME_ZONE!r}, which is no time zone; give a name such as Europe/Madrid")

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
WHITENOISE_KEEP_ONLY_HASHED_FILES = True

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}

# A form with 200 numbers and 200 overrides has some 3,300 fields.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 5000

EMAIL_CONFIG = _address(
    "EMAIL_URL", env.email_url, "consolemail://", "smtp+tls://user:password@mail.example.com:587, or leave it out"
)
vars().update(EMAIL_CONFIG)
EMAIL_FROM = env("EMAIL_FROM", default="")
_senders = [address for _, address in getaddresses([EMAIL_FROM])]
if EMAIL_FROM and not (len(_senders) == 1 and re.fullmatch(r"[^@\s<>,]+@[^@\s<>,]+", _senders[0])):
    raise ImproperlyConfigured(
        f"EMAIL_FROM is {EMAIL_FROM[:100]!r}; give one address such as Frontdesk <frontdesk@example.com>"
    )
HAS_SENDER = bool(EMAIL_FROM or sender_by_host(_public.hostname))
DEFAULT_FROM_EMAIL = EMAIL_FROM or sender_by_host(_public.hostname) or "Frontdesk <frontdesk@localhost>"
SERVER_EMAIL = DEFAULT_FROM_EMAIL

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["customers.authentication.ApiKeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["customers.authentication.HasScope"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
    "COERCE_DECIMAL_TO_STRING": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Frontdesk",
    "DESCRIPTION": "Customers, tiers, limits, sessions and usage.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Two lists of what a field of one name may be.
    "ENUM_NAME_OVERRIDES": {
        "MetricEnum": ["messages", "call_minutes", "sessions", "concurrent_sessions"],
        "TopUpMetricEnum": ["call_minutes", "sessions"],
    },
}

IMPORT_EXPORT_IMPORT_PERMISSION_CODE = "change"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logs.JsonFormatter"}},
    "filters": {"seldom": {"()": "config.logs.Seldom"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json", "filters": ["seldom"]}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {"django": {"level": "INFO"}, "django.request": {"level": "ERROR"}},
}

# A webhook key set from outside, beside those made in the admin.
WEBHOOK_SECRET = env("WEBHOOK_SECRET", default="")
# Two letters such as "GB": bare digits are read as a number of that region first.
PHONE_REGION = env("PHONE_REGION", default="").upper()
# What begins are answered while the database is away.
DECISION_FALLBACK = env("DECISION_FALLBACK", default="allow").lower()
if DECISION_FALLBACK not in ("allow", "deny", "retry"):
    raise ImproperlyConfigured(f"DECISION_FALLBACK is {DECISION_FALLBACK!r}; give allow, deny or retry")
EVENT_RETENTION_DAYS = _whole_number("EVENT_RETENTION_DAYS", 30, most=36_500)
# Of the bodies of ignored and rejected requests together, in millions of bytes.
EVENT_RETENTION_MB = _whole_number("EVENT_RETENTION_MB", 1000, most=10_000_000)

# Off where it is 0. What the least is for stands in `sessions_app.periods`.
SESSION_RETENTION_DAYS = _whole_number("SESSION_RETENTION_DAYS", 0, most=36_500)

DELIVERY_RETENTION_DAYS = _whole_number("DELIVERY_RETENTION_DAYS", 30, most=36_500)
# Encrypt the secrets of destinations and sources. Left out, one is made in the data folder when the first is stored.
ENCRYPTION_KEYS = _encryption_keys("ENCRYPTION_KEYS")
# What staff may have requests sent to although it is not on the public internet.
try:
    OUTGOING_ALLOWED_HOSTS = parse_allowed_hosts(env.list("OUTGOING_ALLOWED_HOSTS", default=[]))
except ValueError as error:
    raise ImproperlyConfigured(f"OUTGOING_ALLOWED_HOSTS: {error}; divide several by commas") from error
OUTGOING_ALLOW_HTTP = _yes_or_no("OUTGOING_ALLOW_HTTP", default=False)

# Used by first-run set-up only, while no staff account exists.
ADMIN_USERNAME = env("ADMIN_USERNAME", default="admin")
ADMIN_PASSWORD = env("ADMIN_PASSWORD", default="")

# By dotted name: functions that bring context for the agent, and a row more with each event (a SessionHook).
CONTEXT_PROVIDERS: list[str] = ["automations.context.provider.provide"]
SESSION_EVENT_HOOKS: list[str] = ["automations.happenings.occurrence_hook"]
# Called with the address of a request to the API that came without a valid key.
REFUSED_KEY_HOOKS: list[str] = ["sessions_app.webhook.refused.count_refused"]
# Called when a first-contact customer is merged into another: sessions follow their customer.
CUSTOMER_MERGE_HOOKS: list[str] = ["sessions_app.recording.by_staff.reassign_sessions"]
# What would be decided now of customers by their ids, in words: the admin says the same as the reports.
CUSTOMER_OUTLOOK = "sessions_app.reports.outlook.outlooks_in_words"
# What each app knows of a customer, and how it erases that (customers.personal.parts.Part).
PERSONAL_DATA_PARTS: list[str] = [
    "customers.personal.own.PART",
    "sessions_app.personal.PART",
    "automations.personal.PART",
]
# Called with a session and who looks at its page: a part of that page (sessions_app.reports.parts.Part), or None.
SESSION_PAGE_PARTS: list[str] = ["automations.pages.what_followed"]
# Called with a moment: how many calls came in the hour before it, and in that hour of past weeks (None: never any).
CALLS_AN_HOUR = "sessions_app.reports.calls_an_hour.calls_an_hour"
# The transaction in which whoever writes much takes turns with LiveTok's requests.
WRITE_TURN = "sessions_app.database.pieces.bulk_transaction"
