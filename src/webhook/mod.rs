//! Serving the pure way to the API server.
