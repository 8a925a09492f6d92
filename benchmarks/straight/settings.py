"""Frontdesk's own database, zone and logs, with the middleware that Django's project template comes with."""

from config.settings import (
    BASE_DIR,
    DATA_DIR,
    DATABASES,
    DEFAULT_AUTO_FIELD,
    HOST,
    IS_SQLITE,
    LOGGING,
    PORT,
    SECRET_KEY,
    TIME_ZONE,
    USE_TZ,
    WEB_PROCESSES,
    WEBHOOK_SECRET,
)

__all__ = [
    "BASE_DIR",
    "DATABASES",
    "DATA_DIR",
    "DEFAULT_AUTO_FIELD",
    "HOST",
    "IS_SQLITE",
    "LOGGING",
    "PORT",
    "SECRET_KEY",
    "TIME_ZONE",
    "USE_TZ",
    "WEBHOOK_SECRET",
    "WEB_PROCESSES",
]

ALLOWED_HOSTS = ["127.0.0.1"]
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "rest_framework",
    "benchmarks.straight",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]
ROOT_URLCONF = "benchmarks.straight.views"
