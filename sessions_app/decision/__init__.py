"""May this session begin, and what is answered."""
