"""The WSGI application that the web server loads."""

import gc
import os

from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections

from config.shared_connections import share_connections

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
share_connections()

# Requests leave next to no cycles, and looking for some after every 700 objects costs each of them a sixth of its time.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 20)

# What Django does after each request is not needed here: connections stay open, and looking for broken ones before a
# request is enough; caches are in memory; no request has addresses of its own.
for _receiver in (close_old_connections, close_caches, reset_urlconf):
    request_finished.disconnect(_receiver)
