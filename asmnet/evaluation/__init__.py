"""What networks are worth: figures, tables and pictures, by the code that users call. No torch."""
