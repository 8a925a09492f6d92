"""The WSGI application that the web server loads."""

import gc
import os

from django.core.signals import request_finished
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()

# Requests leave next to no cycles, and looking for some after every 700 objects costs each of them a sixth of its time.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 20)

# Connections stay open, so looking for broken ones before a request is enough.
request_finished.disconnect(close_old_connections)
