# make run    set up and start Frontdesk          make test   every test, on SQLite and on PostgreSQL
# make build  libraries and static files alone, for a service that may not write here (docs/deploy.md)
# make check  style, types, advisories, settings  make demo   the same as run, with made-up traffic
# make lock   pin the newest allowed libraries      make bench  speed against the floor (bench-short, bench-flat, bench-busy,
#             bench-reports, bench-room, bench-deliveries, bench-rules, bench-moved, bench-pooler,
#             bench-replay)
# make audit    ask the whole database of advisories about the libraries, where there is a network
# make torture  kill every process, and take the database away, under load: what was acknowledged is there
# make soak     minutes at half the peak, with slow and broken clients: no error, nothing grows
.PHONY: run build test check demo lock audit bench bench-short bench-flat bench-busy bench-reports bench-room bench-deliveries bench-rules bench-moved bench-pooler bench-replay torture soak runtime everything
.SILENT:

PYTHON := .venv/bin/python
PIP := $(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes

run: runtime
	$(PYTHON) manage.py setup
	exec $(PYTHON) manage.py serve

# In a data folder of its own: the service has another one, and this account no business there.
build: runtime
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	DATA_DIR="$$folder" SECRET_KEY= SECRET_KEY_FILE= $(PYTHON) manage.py setup --only-static-files
	$(PYTHON) -m compileall -q automations config customers sessions_app

demo: export DATA_DIR = data-demo
# Empty is not set: the demo never goes where .env points.
demo: export DATABASE_URL =
demo: export DATABASE_URL_FILE =
demo: runtime
	$(PYTHON) manage.py setup
	$(PYTHON) manage.py demo
	exec $(PYTHON) manage.py serve

# Modules that are compiled at each start anew, as this variable has them, take a fifth of all the time.
test check bench-short: export PYTHONDONTWRITEBYTECODE =

# Tests in a browser mostly wait, so they run beside the plain ones; the other serial tests want the machine to themselves.
test: everything
	$(PYTHON) -m tests.chromium
	$(PYTHON) -m tests.programs
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	DATA_DIR="$$folder/data" DATABASE_URL= DATABASE_URL_FILE= $(PYTHON) manage.py setup >"$$folder/setup" && \
	mkdir "$$folder/migrated" && export FRONTDESK_TEST_MIGRATED_FOLDER="$$folder/migrated" && \
	for database in sqlite postgresql; do \
	    echo; echo "== $$database, plain tests, and those in a browser beside them"; \
	    $(PYTHON) -m pytest --database $$database -n 0 --durations=10 tests/browser >"$$folder/browser" 2>&1 & browser=$$!; \
	    failed=; \
	    $(PYTHON) -m pytest --database $$database -n auto --durations=10 -m "not serial" || failed=" plain"; \
	    wait $$browser || failed="$$failed browser"; cat "$$folder/browser"; \
	    [ -z "$$failed" ] || { echo "make test: tests on $$database failed:$$failed"; exit 1; }; \
	done && \
	echo && echo "== serial tests, one after another on each database, both at once; shown when they are done" && \
	{ serial="--ignore tests/browser -n 0 --durations=10 -m serial"; \
	$(PYTHON) -m pytest --database sqlite $$serial >"$$folder/sqlite" 2>&1 & first=$$!; \
	$(PYTHON) -m pytest --database postgresql $$serial >"$$folder/postgresql" 2>&1 & second=$$!; \
	failed=; \
	wait $$first || failed="$$failed sqlite"; cat "$$folder/sqlite"; \
	wait $$second || failed="$$failed postgresql"; cat "$$folder/postgresql"; \
	[ -z "$$failed" ] || { echo "make test: the serial tests failed on:$$failed"; exit 1; }; }
	echo; echo "make test: every test on SQLite and on PostgreSQL is good"

# A data folder of its own, so that a developer's .env and database play no part in what is judged.
check: everything
	$(PYTHON) -m ruff check
	$(PYTHON) -m ruff format --check
	$(PYTHON) .ci/audit.py
	folder=$$(mktemp -d) && trap 'rm -rf "$$folder"' EXIT && \
	export DATA_DIR="$$folder" DATABASE_URL="sqlite:///$$folder/check.sqlite3" SECRET_KEY= WEBHOOK_SECRET= && \
	export DATABASE_URL_FILE= SECRET_KEY_FILE= WEBHOOK_SECRET_FILE= && \
	export PUBLIC_URL=https://frontdesk.example.com && \
	$(PYTHON) -m mypy && \
	$(PYTHON) manage.py makemigrations --check --dry-run && \
	$(PYTHON) manage.py check --deploy --fail-level WARNING

lock: everything
	.venv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url requirements.in -o requirements.txt
	.venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	    --no-emit-index-url -c requirements.txt requirements-runtime.in -o requirements-runtime.txt

# `make check` goes by .ci/advisories.toml, which this is for renewing.
audit: everything
	.venv/bin/uv tool run pip-audit --requirement requirements.txt --disable-pip --require-hashes

bench: everything
	$(PYTHON) -m benchmarks

# Under a minute: fails when the lead over the straight version has fallen by a quarter.
bench-short: everything
	$(PYTHON) -m benchmarks --short --rounds 5 --seconds 0.6

# Half an hour and 25 GB for each database: `make bench-flat SESSIONS=1000000` is a small one.
SESSIONS := 10000000
bench-flat: everything
	$(PYTHON) -m benchmarks --flat $(SESSIONS)

# What writes much, all at once, over a million sessions, with LiveTok beside it.
bench-busy: everything
	$(PYTHON) -m benchmarks.busy

# Report pages over a year of sessions, and begins beside them.
bench-reports: everything
	$(PYTHON) -m benchmarks.reports --sessions $(SESSIONS)

# Begins while others do what they can to slow them: about six minutes.
bench-room: everything
	$(PYTHON) -m benchmarks.room

# A thousand deliveries, and destinations that hang beside others: about two minutes.
bench-deliveries: everything
	$(PYTHON) -m benchmarks.deliveries

# `make bench-rules BEFORE=../before` compares with a checkout of another commit, too.
BEFORE :=
bench-rules: everything
	$(PYTHON) -m benchmarks.rules $(if $(BEFORE),--before $(BEFORE))

# How many sessions a second a draft's limits are replayed over, with a million stored: about five minutes.
bench-replay: everything
	$(PYTHON) -m benchmarks.replay

# A million sessions: a move that is killed, and backups that are tried and restored. Half an hour.
bench-moved: everything
	$(PYTHON) -m benchmarks.moved

# What PgBouncer costs a session, and what a second node brings: about six minutes, on PostgreSQL alone.
bench-pooler: everything
	$(PYTHON) -m benchmarks.pooler

# Ten times the examples of `make test`, every kind of process killed twenty times on each database, then a minute
# without it, a failover, two nodes whose parts die one by one, and a replica that stands still: about 50 minutes.
torture: everything
	failed=; \
	for database in sqlite postgresql; do \
	    $(PYTHON) -m pytest --database $$database -n auto -m property --hypothesis-profile torture \
	        -o faulthandler_timeout=7200 || failed=yes; \
	done; \
	$(PYTHON) -m benchmarks.torture || failed=yes; \
	$(PYTHON) -m benchmarks.outage || failed=yes; \
	$(PYTHON) -m benchmarks.failover || failed=yes; \
	$(PYTHON) -m benchmarks.fleet || failed=yes; \
	$(PYTHON) -m benchmarks.replica || failed=yes; \
	[ -z "$$failed" ]

# Ten minutes on each database: `make soak SECONDS=60` is a short one.
SECONDS := 600
soak: everything
	$(PYTHON) -m benchmarks.soak --seconds $(SECONDS)

# A stamp is a copy of the lock that was installed: pip runs only where the lock differs from it.
runtime: .venv/made
	cmp -s requirements-runtime.txt .venv/runtime.lock || { \
	    echo "Installing the libraries of requirements-runtime.txt ..." && \
	    $(PIP) -r requirements-runtime.txt && cp requirements-runtime.txt .venv/runtime.lock; }

# Everything includes the runtime's libraries in the same versions, so both stamps follow.
everything: .venv/made
	cmp -s requirements.txt .venv/everything.lock || { \
	    echo "Installing the libraries of requirements.txt ..." && \
	    $(PIP) -r requirements.txt && \
	    cp requirements.txt .venv/everything.lock && cp requirements-runtime.txt .venv/runtime.lock; }

.venv/made:
	for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	    if command -v $$python >/dev/null && $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then \
	        $$python -m venv --clear .venv && touch $@ && exit 0; \
	        echo "$$python cannot make a virtual environment; on Debian and Ubuntu, install python3-venv." >&2; \
	        rm -rf .venv; exit 1; \
	    fi; \
	done; \
	echo "Frontdesk needs Python 3.11 or newer, and found $$(python3 --version 2>&1 || echo no python3)." >&2; exit 1
