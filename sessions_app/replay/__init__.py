"""What other limits would have done: a tier's stored sessions, decided once more."""
