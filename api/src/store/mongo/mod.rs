//! The cluster's store: a MongoDB replica set.
