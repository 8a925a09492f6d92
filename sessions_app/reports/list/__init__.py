"""What report pages over lists of sessions share: filters, cursors, rows, totals."""
