//! The store: what it creates, for whom, and what nobody can make it do.

mod ask;
mod attacks;
mod awaited;
mod env;
mod events;
mod pipes;
mod replicas;
mod rights;
