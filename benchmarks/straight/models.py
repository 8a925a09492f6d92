"""Tiers, customers and sessions; usage is summed from the sessions whenever it is asked for."""

from django.db import models


class Tier(models.Model):
    name = models.CharField(max_length=64, unique=True)
    context = models.JSONField(default=dict)
    daily_messages = models.PositiveIntegerField()
    daily_call_minutes = models.PositiveIntegerField()
    monthly_call_minutes = models.PositiveIntegerField()
    monthly_sessions = models.PositiveIntegerField()
    concurrent_sessions = models.PositiveIntegerField()


class Customer(models.Model):
    phone = models.CharField(max_length=32, unique=True)
    tier = models.ForeignKey(Tier, on_delete=models.PROTECT)


class Session(models.Model):
    session_id = models.CharField(max_length=255, unique=True)
    customer = models.ForeignKey(Customer, on_delete=models.PROTECT, related_name="sessions")
    kind = models.CharField(max_length=64)
    agent_id = models.BigIntegerField()
    started_at = models.DateTimeField(db_index=True)
    ended_at = models.DateTimeField(null=True)
    duration = models.PositiveIntegerField(null=True)
    allowed = models.BooleanField()
    answer = models.JSONField()
