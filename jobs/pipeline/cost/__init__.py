"""What hours of machines and of music cost."""
