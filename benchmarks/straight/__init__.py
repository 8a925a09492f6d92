"""The same two calls as a team would write them first: serializers, the ORM, the customer locked."""
