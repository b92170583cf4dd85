//! Dropgate: a virtual waiting room and flash-sale inventory service.
//!
//! The map, in the order a newcomer should read it: [`room`] is the line as a pure state machine and [`sale`] the
//! stock as one, [`store`] keeps rooms and answers batches of commands, [`token`] signs what visitors carry,
//! [`instance`] is what one process knows, [`page`] what people see, [`http`] every address. [`config`] says what an
//! instance is told, [`app`] builds and runs one, [`demo`] puts a crowd before it, [`cli`] is the command line.
//! [`address`], [`clock`], [`id`], [`telemetry`] and [`time`] are leaves that anyone may use.

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
