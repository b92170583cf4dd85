//! The stock from outside: buyers and shops over real HTTP, the books held against what the events tell.

mod crash;
mod deadline;
mod feed;
mod line;
mod rush;
