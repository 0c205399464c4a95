//! The store: the objects that it creates, its permissions, and attacks on it.

mod ask;
mod attacks;
mod awaited;
mod env;
mod events;
mod pipes;
mod replicas;
mod rights;
