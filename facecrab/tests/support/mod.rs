//! A hub on this machine, and a place for what a test leaves.
#![allow(dead_code, unused_imports, reason = "each test file uses a part")]

pub(crate) mod child;
mod content;
mod http;
mod hub;
mod place;
pub(crate) mod python;
mod serve;

pub(crate) use content::{Content, gzip_of_zeros, sha256_of};
pub(crate) use hub::{Access, At, Fault, Hub, Origin, PATIENCE, Seen, closed_port};
pub(crate) use place::{Place, bundled, spec, test, watch};
