"""The WSGI application that the web server loads."""

import gc
import os
import sys

from django.core.cache import close_caches
from django.core.handlers.base import reset_urlconf
from django.core.signals import request_finished
from django.core.wsgi import get_wsgi_application
from django.db import close_old_connections
from django.utils.module_loading import import_string

from config.entrance import Entrance
from config.readable import reading_utf8
from config.secrets import keep_files_private
from config.shared_connections import share_connections
from config.slow_clients import start_watch

keep_files_private()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = Entrance(reading_utf8(get_wsgi_application()))
share_connections()
start_watch()
import_string("config.known_keys.start_learning")()  # its models are there only now

# A thread that computes lets others have Python after this long. A begin asks for it several times, and would wait five
# milliseconds for each page that is being made, each time.
sys.setswitchinterval(0.0005)

# Requests leave next to no cycles, and looking for some after every 700 objects costs each of them a sixth of its time.
gc.collect()
gc.freeze()
gc.set_threshold(20_000, 20, 20)

# What Django does after each request is not needed here: connections stay open, and looking for broken ones before a
# request is enough; the cache is in files; no request has addresses of its own.
for _receiver in (close_old_connections, close_caches, reset_urlconf):
    request_finished.disconnect(_receiver)
