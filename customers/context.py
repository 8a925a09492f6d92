"""The keys of `context` that are Frontdesk's own. A tier's or a customer's key of the same name hides them."""

OWN_KEYS = (
    "customer_tier",
    "customer_name",
    "account_status",
    "call_minutes_used_today",
    "call_minutes_left_today",
    "limits_reset_at",
    "denied_reason",
    "denied_message",
)
