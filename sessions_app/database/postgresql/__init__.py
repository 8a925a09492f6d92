"""Django's database backend for PostgreSQL, with connections that keep to a request's patience."""
