"""What each kind of destination has, and what an action for it says: one table for forms and for imports."""

from collections.abc import Mapping

# By `Destination.Kind`.
DESTINATION_FIELDS: Mapping[str, tuple[str, ...]] = {
    "email": (),
    "slack": ("address",),
    "teams": ("address",),
    "http": ("address", "headers", "is_signed"),
    "whatsapp": ("address", "headers"),
}
KEPT = ("kept_pointer", "kept_link")
ACTION_FIELDS: Mapping[str, tuple[str, ...]] = {
    "email": ("recipient", "subject", "text"),
    "slack": ("body",),
    "teams": ("body",),
    "http": ("method", "path", "body", *KEPT),
    "whatsapp": ("recipient", "template_name", "template_language", "text", *KEPT),
}
DESTINATION_FIELDS_OF_SOME = ("address", "headers", "is_signed")
ACTION_FIELDS_OF_SOME = tuple(dict.fromkeys(name for names in ACTION_FIELDS.values() for name in names))


def check_fields_of_kind(
    kind: str, fields: Mapping[str, tuple[str, ...]], values: Mapping[str, object], usual: Mapping[str, object]
) -> dict[str, list[str]]:
    """By field, that the kind has none. `fields`: one of the tables; `usual`: what counts as not given."""
    others = {name for names in fields.values() for name in names} - set(fields.get(kind, ()))
    return {
        name: [f"{kind} has no such field. Leave it out."]
        for name in sorted(others & values.keys())
        if values[name] and values[name] != usual.get(name)
    }
