"""Following the faces of one stream."""
