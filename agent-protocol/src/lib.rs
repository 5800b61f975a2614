//! The messages between host and guest agent, and the host's client.
