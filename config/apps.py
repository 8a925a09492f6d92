"""Registers Frontdesk's system checks."""

from django.apps import AppConfig

from config import checks

__all__ = ["ProjectConfig", "checks"]


class ProjectConfig(AppConfig):
    name = "config"
