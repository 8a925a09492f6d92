"""What all report pages share: ranges, figures, charts, downloads."""
