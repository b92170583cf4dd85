//! Dropgate: a virtual waiting room and flash-sale inventory service.
//!
//! The map, in the order a newcomer should read it: [`room`] is the line as a pure state machine, [`store`]
//! keeps rooms and answers batches of commands, [`token`] signs what visitors carry, [`instance`] is what one
//! process knows.

pub mod address;
pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod http;
pub mod id;
pub mod instance;
pub mod page;
pub mod room;
pub mod sale;
pub mod store;
pub mod telemetry;
pub mod time;
pub mod token;
