"""Its application, tuned as Frontdesk's is. It has no entrance: its one client is LiveTok."""

from django.core.wsgi import get_wsgi_application

from config.web_process import tune_web_process

application = get_wsgi_application()
tune_web_process()
