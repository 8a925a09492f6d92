"""WHAT HAPPENED: sessions, what is summed and billed of them, and the log of LiveTok's requests."""

from sessions_app.models.log import OF_NO_SESSION, RefusedRequests, SpoolPlace, WebhookEvent
from sessions_app.models.nodes import ALIVE, Lease, Node, NodeQuerySet
from sessions_app.models.replays import Replay
from sessions_app.models.sessions import (
    DENIED,
    ENDED,
    ERASED,
    LONG_FIELDS,
    NO_END,
    STATE_CONDITIONS,
    CustomerTurn,
    Session,
    SessionQuerySet,
    SupersededEnd,
    packed_or_plain,
)
from sessions_app.models.statements import PastMonthWrite, StatementLine, StatementMonth
from sessions_app.models.sums import (
    CallerNumber,
    DayCell,
    DayPeak,
    DaySums,
    HourSums,
    LateWrite,
    SumsMark,
    WeekSums,
)
from sessions_app.models.usage import DailyUsage, TopUpUse

__all__ = [
    "ALIVE",
    "DENIED",
    "ENDED",
    "ERASED",
    "LONG_FIELDS",
    "NO_END",
    "OF_NO_SESSION",
    "STATE_CONDITIONS",
    "CallerNumber",
    "CustomerTurn",
    "DailyUsage",
    "DayCell",
    "DayPeak",
    "DaySums",
    "HourSums",
    "LateWrite",
    "Lease",
    "Node",
    "NodeQuerySet",
    "PastMonthWrite",
    "RefusedRequests",
    "Replay",
    "Session",
    "SessionQuerySet",
    "SpoolPlace",
    "StatementLine",
    "StatementMonth",
    "SumsMark",
    "SupersededEnd",
    "TopUpUse",
    "WebhookEvent",
    "WeekSums",
    "packed_or_plain",
]
