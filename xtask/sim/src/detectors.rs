//! What others use in place of the engine.
