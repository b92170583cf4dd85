//! The check of return addresses: where a visitor may be sent, and nowhere else.
