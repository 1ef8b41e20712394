//! What must hold of rows before they are published.
