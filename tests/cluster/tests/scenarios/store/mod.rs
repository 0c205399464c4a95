//! The store: the objects that it creates, its permissions, and attacks on it.

mod attacks;
mod awaited;
mod client;
mod env;
mod events;
mod pipes;
mod replicas;
mod rights;
