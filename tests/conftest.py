"""Which database a run uses, decided before Django loads. Fixtures stand in `tests.fixtures`, which needs Django."""

import gc
import os
import shutil
import tempfile
from pathlib import Path

import django
import hypothesis
import pytest
from django.conf import settings

from tests.databases import SERVER_URL, NoPostgres, PostgresServer, sqlite_version, start_postgres
from tests.migrated import MIGRATED_FOLDER
from tests.office import soffice_path

DATABASES = ("sqlite", "postgresql")
# A developer's own .env or shell must not change what the tests see.
ENVIRONMENT = {
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "PUBLIC_URL": "",
    "TRUSTED_PROXIES": "127.0.0.0/8,::1",
    "SECRET_KEY": "",
    "WEBHOOK_SECRET": "",
    "REPORTS_DATABASE_URL": "",
    "HOST": "127.0.0.1",
    "PORT": "8000",
    "WEB_PROCESSES": "2",
    "BACKUP_DIR": "",
    "BACKUP_DATABASE_URL": "",
    "TIME_ZONE": "UTC",
    "PHONE_REGION": "",
    "DECISION_FALLBACK": "allow",
    "EVENT_RETENTION_DAYS": "30",
    "EVENT_RETENTION_MB": "1000",
    "SESSION_RETENTION_DAYS": "0",
    "ENCRYPTION_KEYS": "",
    "DATABASE_POOLER": "",
    "DATABASE_PREPARE": "",
    "OUTGOING_ALLOWED_HOSTS": "",
    "OUTGOING_ALLOW_HTTP": "",
    "EMAIL_URL": "consolemail://",
    "EMAIL_FROM": "Frontdesk <frontdesk@example.com>",
    "SIGN_IN_IDLE_HOURS": "",
    "SIGN_IN_DAYS": "",
    "REQUIRE_MFA": "",
    "OIDC_ISSUER": "",
    "OIDC_CLIENT_ID": "",
    "OIDC_CLIENT_SECRET": "",
    "OIDC_CLIENT_SECRET_FILE": "",
    "OIDC_NAME": "",
    "OIDC_SCOPES": "",
    "OIDC_GROUPS_CLAIM": "",
    "OIDC_GROUPS": "",
    "ADMIN_USERNAME": "admin",
    "ADMIN_PASSWORD": "",
    "SECRET_KEY_FILE": "",
    "DATABASE_URL_FILE": "",
    "REPORTS_DATABASE_URL_FILE": "",
    "BACKUP_DATABASE_URL_FILE": "",
    "WEBHOOK_SECRET_FILE": "",
    "ENCRYPTION_KEYS_FILE": "",
    "EMAIL_URL_FILE": "",
    "ADMIN_PASSWORD_FILE": "",
    # A server starts in four fifths of the time where its modules are compiled.
    "PYTHONDONTWRITEBYTECODE": "",
    # Playwright's synchronous API runs an event loop in this thread; Django would take us for an async program.
    "DJANGO_ALLOW_ASYNC_UNSAFE": "1",
}
SERVER_VERSION = "FRONTDESK_TEST_SERVER_VERSION"

folder_key = pytest.StashKey[Path]()
server_key = pytest.StashKey[PostgresServer]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--database", choices=DATABASES, default="sqlite", help="the database to run the tests on")


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    # A worker of pytest-xdist inherits the environment, and so shares the server; each has a database of its own.
    if not hasattr(config, "workerinput"):
        _prepare_environment(config)
    _adapt_settings()
    django.setup()
    for plugin in ("tests.fixtures", "tests.live", "tests.pairs"):
        config.pluginmanager.import_plugin(plugin)
    # Every run tries the same examples; `--hypothesis-profile explore` looks for new ones, and `torture` for many.
    hypothesis.settings.register_profile("frontdesk", deadline=None, derandomize=True, database=None)
    hypothesis.settings.register_profile("explore", deadline=None)
    hypothesis.settings.register_profile("torture", deadline=None, print_blob=True, max_examples=1000)
    hypothesis.settings.load_profile("frontdesk")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """For `-n auto`: one more than there are cores, since some tests wait."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish(session: pytest.Session) -> None:
    # All that was imported stays until the end: a search for garbage that goes through it takes a seventh of the CPU.
    gc.freeze()
    gc.set_threshold(100_000, 50, 100)


def _prepare_environment(config: pytest.Config) -> None:
    folder = Path(tempfile.mkdtemp(prefix="frontdesk-tests-"))
    config.stash[folder_key] = folder
    os.environ.update(ENVIRONMENT)
    os.environ["DATA_DIR"] = str(folder)
    if MIGRATED_FOLDER not in os.environ:  # as it is in a run of `make test`, which are several
        os.environ[MIGRATED_FOLDER] = str(folder / "migrated")
        (folder / "migrated").mkdir()
    os.environ["DATABASE_URL"] = f"sqlite:///{folder / 'frontdesk.sqlite3'}"
    if config.option.database == "postgresql":
        if not config.option.collectonly:
            _start_server(config)
        os.environ["DATABASE_URL"] = os.environ.get(SERVER_URL, "postgres://not-started.invalid/postgres")


def _start_server(config: pytest.Config) -> None:
    try:
        server = start_postgres()
    except NoPostgres as error:
        raise pytest.UsageError(str(error)) from error
    config.stash[server_key] = server
    os.environ[SERVER_URL] = server.url
    os.environ[SERVER_VERSION] = server.version


def _adapt_settings() -> None:
    if settings.IS_SQLITE:
        # Else Django would take a database in memory, which knows no WAL.
        settings.DATABASES["default"].setdefault("TEST", {})["NAME"] = str(settings.DATA_DIR / "test.sqlite3")
    settings.STORAGES = settings.STORAGES | {
        "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    }
    settings.WHITENOISE_AUTOREFRESH = settings.WHITENOISE_USE_FINDERS = True
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


def pytest_unconfigure(config: pytest.Config) -> None:
    if server_key in config.stash:
        config.stash[server_key].stop()
    if folder_key in config.stash:
        shutil.rmtree(config.stash[folder_key], ignore_errors=True)


def pytest_report_header(config: pytest.Config) -> list[str]:
    office = soffice_path() or "not found: tests of files that it has saved are not collected"
    return [_database_line(config), f"LibreOffice: {office}"]


def _database_line(config: pytest.Config) -> str:
    if config.option.database == "postgresql":
        return f"database: {os.environ.get(SERVER_VERSION, 'PostgreSQL, not started')}"
    return f"database: {sqlite_version()}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(_database_line(config))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What only the other database, or only LibreOffice, can show is not collected here; what knows none, once."""
    kept, left_out = [], []
    for item in items:
        databases = {name for marker in item.iter_markers("only") for name in marker.args}
        if not databases <= set(DATABASES):
            raise pytest.UsageError(f"{item.nodeid}: only() takes {' or '.join(DATABASES)}, not {databases}")
        if item.get_closest_marker("pure") is not None:
            if "_django_db_helper" in item.fixturenames or item.get_closest_marker("django_db") is not None:  # type: ignore[attr-defined]
                raise pytest.UsageError(f"{item.nodeid}: it asks for the database, so it is not pure")
            databases = {"sqlite"}
        is_for_another = bool(databases) and config.option.database not in databases
        lacks_office = item.get_closest_marker("office") is not None and soffice_path() is None
        (left_out if is_for_another or lacks_office else kept).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept
