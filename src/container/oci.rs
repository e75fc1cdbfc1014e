//! Images that others made.
