"""What is known of one customer: exported as one file, or erased."""
