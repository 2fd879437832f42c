"""Labelled photos: records, readers, parts, labels by a network. No torch."""
