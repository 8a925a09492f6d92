"""An app's tables made at once, for the migration that a new installation begins with."""

from typing import Any

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import SeparateDatabaseAndState
from django.db.migrations.state import ProjectState


class NewTables(SeparateDatabaseAndState):
    """The models, indexes and constraints of `state_operations`, which are all that the app has then.

    Operations one by one cost three times as much: after each, Django works out the models of every app anew.
    """

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        state.__dict__.pop("apps", None)  # where they are worked out already, each operation would do it again
        super().state_forwards(app_label, state)

    def database_forwards(self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, _: Any, to: Any) -> None:
        for model in to.apps.get_app_config(app_label).get_models():
            schema_editor.create_model(model)

    def database_backwards(self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, had: Any, _: Any) -> None:
        for model in reversed(list(had.apps.get_app_config(app_label).get_models())):
            schema_editor.delete_model(model)
