"""What SQLite alone needs: its one lock, and turns to it."""
