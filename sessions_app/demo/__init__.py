"""Believable traffic to try Frontdesk out with, sent through the same door as LiveTok's."""
