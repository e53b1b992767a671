//! What is left of the quota decides what goes up, and the ledger says who spent it (DESIGN §5).

mod closed;
mod limited;
mod spent;
