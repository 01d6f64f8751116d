//! What a file of each layout gives.

mod shared;
