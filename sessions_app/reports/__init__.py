"""Report pages: what staff read of past and present sessions. Reads only."""
