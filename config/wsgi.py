"""The WSGI application that the web server loads."""

import os

from django.core.wsgi import get_wsgi_application
from django.utils.module_loading import import_string

from config.entrance import Entrance
from config.metrics.files import count_in_files
from config.readable import reading_utf8
from config.running import say_that_we_run
from config.secrets import keep_files_private
from config.slow_clients import start_watch
from config.web_process import tune_web_process

keep_files_private()
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
count_in_files()  # before anything is there that counts
application = Entrance(reading_utf8(get_wsgi_application()))
say_that_we_run()
tune_web_process()
start_watch()
import_string("config.known_keys.start_learning")()  # its models are there only now
