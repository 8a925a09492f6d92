"""Registers Frontdesk's system checks, and its admin site in place of Django's."""

from importlib import import_module

from django.apps import AppConfig
from django.contrib.admin import apps as admin_apps

from config import checks

__all__ = ["FrontdeskAdminConfig", "ProjectConfig", "checks"]


class ProjectConfig(AppConfig):
    name = "config"
    default = True

    def ready(self) -> None:
        # The app stands last, so all other admins are registered by then, and users' can be replaced.
        import_module("config.accounts")
        import_module("config.sign_in.admin")
        import_module("config.sign_in.log")


class FrontdeskAdminConfig(admin_apps.AdminConfig):
    default_site = "config.admin.FrontdeskSite"
    default = False
