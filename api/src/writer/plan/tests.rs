//! Planning of a write, without a store.
