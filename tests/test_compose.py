"""`deploy/compose.yaml`, read as Docker Compose reads it: what it names is there, and its commands are Frontdesk's."""

import re

import pytest
import yaml
from django.conf import settings
from django.core.management import get_commands, load_command_class

from config.management.commands.serve import PATIENCE_SECONDS
from tests.image import ROOT, instructions

pytestmark = pytest.mark.pure

FILE = ROOT / "deploy/compose.yaml"
COMPOSE = yaml.safe_load(FILE.read_text())
SERVICES = COMPOSE["services"]
OURS = {name: service for name, service in SERVICES.items() if str(service["image"]).startswith("frontdesk")}


def test_it_has_set_up_server_database_and_proxy():
    assert set(SERVICES) == {"setup", "frontdesk", "database", "caddy"}
    assert set(OURS) == {"setup", "frontdesk"}


@pytest.mark.parametrize("name", OURS)
def test_its_commands_are_frontdesks(name):
    [command] = OURS[name]["command"]
    load_command_class(get_commands()[command], command)
    assert command == ("setup" if name == "setup" else "serve")


@pytest.mark.parametrize("name", OURS)
def test_our_containers_may_write_to_the_data_folder_alone(name):
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert int(service["user"]) == 1000
    assert service["tmpfs"] == ["/tmp"]
    assert service["volumes"] == ["data:/data"]
    [data_dir] = [text for kind, text in instructions(ROOT / "deploy/Dockerfile") if kind == "VOLUME"]
    assert data_dir == "/data"


def test_migrations_are_through_before_the_server_starts_and_no_health_check_ends_them():
    assert SERVICES["frontdesk"]["depends_on"]["setup"]["condition"] == "service_completed_successfully"
    assert SERVICES["setup"]["depends_on"]["database"]["condition"] == "service_healthy"
    assert SERVICES["setup"]["healthcheck"] == {"disable": True}
    assert SERVICES["setup"]["restart"] == "no"
    assert int(SERVICES["frontdesk"]["stop_grace_period"].removesuffix("s")) > 2 * PATIENCE_SECONDS


def test_postgresqls_major_version_is_pinned_with_its_volume():
    [version] = re.fullmatch(r"postgres:(\d+)", SERVICES["database"]["image"]).groups()
    assert SERVICES["database"]["volumes"] == [f"database-{version}:/var/lib/postgresql/data"]


def test_the_image_has_the_programs_that_back_it_up():
    database = SERVICES["database"]["image"].removeprefix("postgres:")
    assert f" postgresql-client-{database} " in (ROOT / "deploy/Dockerfile").read_text()


def test_what_the_containers_rely_on_no_line_of_dot_env_changes():
    fixed = OURS["frontdesk"]["environment"]
    [exposed] = [text for kind, text in instructions(ROOT / "deploy/Dockerfile") if kind == "EXPOSE"]
    assert (fixed["DATA_DIR"], fixed["HOST"], fixed["PORT"]) == ("/data", "0.0.0.0", exposed)
    assert SERVICES["caddy"]["environment"]["FRONTDESK"] == f"frontdesk:{exposed}"


def test_every_setting_of_ours_is_one():
    known = set(re.findall(r"^#?([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    for service in OURS.values():
        assert set(service["environment"]) <= known
        assert service["env_file"] == [".env"]
        assert [name.removesuffix("_FILE") for name in service["environment"] if name.endswith("_FILE")] == [
            name for name in settings.SECRETS if f"{name}_FILE" in service["environment"]
        ]


def test_what_it_names_is_declared_or_there():
    for service in SERVICES.values():
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])
        assert set(service.get("depends_on", [])) <= set(SERVICES)
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            assert (FILE.parent / source).exists() if source.startswith(".") else source in COMPOSE["volumes"]
        for name, value in service["environment"].items():
            if name.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"]
        if "build" in service:
            context = (FILE.parent / service["build"]["context"]).resolve()
            assert (context / service["build"]["dockerfile"]).is_file()
            assert context == ROOT


def test_what_a_reader_has_to_give_is_told():
    text = (ROOT / "docs/deploy.md").read_text()
    asked = set(re.findall(r"\$\{(\w+)", FILE.read_text())) | {
        secret["file"].removeprefix("./") for secret in COMPOSE["secrets"].values()
    }
    assert {name for name in asked if name not in text} == set()


def test_secrets_and_settings_of_a_deployment_are_no_part_of_the_code():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {"/deploy/.env", "/deploy/secrets/"} <= set(ignored)


def test_only_caddy_shares_the_network_of_trusted_proxies():
    [subnet] = COMPOSE["networks"]["front"]["ipam"]["config"]
    assert OURS["frontdesk"]["environment"]["TRUSTED_PROXIES"] == subnet["subnet"]
    # One network in common: Frontdesk's name has one address for Caddy, and Caddy one that is trusted.
    assert set(SERVICES["caddy"]["networks"]) & set(OURS["frontdesk"]["networks"]) == {"front"}
    assert [name for name, service in SERVICES.items() if "front" in service["networks"]] == ["frontdesk", "caddy"]
    assert [name for name, service in SERVICES.items() if "ports" in service] == ["caddy"]
