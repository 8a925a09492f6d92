"""What customers have used, and how it stands against their limits."""
