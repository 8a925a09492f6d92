#!/usr/bin/env python3
"""Django's command line for Frontdesk."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line

from config.secrets import keep_files_private

if __name__ == "__main__":
    keep_files_private()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"Frontdesk's settings: {error}")
