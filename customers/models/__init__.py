"""The entities of WHO may use WHAT, one module per subject."""

from customers.models.changes import CustomerChange, TierChange, TierChangeLimit
from customers.models.channels import Agent, Channel
from customers.models.customers import Customer, PhoneNumber
from customers.models.erasures import Erasure
from customers.models.keys import ApiKey
from customers.models.limits import LimitOverride, LimitRow, TierLimit
from customers.models.policy import DenialMessage, Policy
from customers.models.search import SearchKey
from customers.models.tiers import Tier
from customers.models.top_ups import TopUp

__all__ = [
    "Agent",
    "ApiKey",
    "Channel",
    "Customer",
    "CustomerChange",
    "DenialMessage",
    "Erasure",
    "LimitOverride",
    "LimitRow",
    "PhoneNumber",
    "Policy",
    "SearchKey",
    "Tier",
    "TierChange",
    "TierChangeLimit",
    "TierLimit",
    "TopUp",
]
