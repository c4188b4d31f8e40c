//! Attacks, and how the server holds.

mod attacker;
mod audit;
mod callers;
mod connections;
mod forgery;
mod ids;
mod keys;
mod lists;
mod log;
mod memory;
mod ports;
mod protocol;
mod proxy;
mod rates;
mod reload;
mod replies;
mod revocation;
mod rights;
mod shares;
mod who;
