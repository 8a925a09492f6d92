"""Databases as earlier versions left them behind, for `tests/test_upgrade.py`."""

from pathlib import Path

folder = Path(__file__).parent
# Of the account `admin` in each of them, which holds nothing but made-up data.
PASSWORD = "password-of-a-release"
WEBHOOK_KEY_LINE = "-- webhook key: "
