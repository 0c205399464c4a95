//! What the injected init container runs.
