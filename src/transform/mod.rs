//! The stream's SQL over `source`, and which source columns each output column comes from.
