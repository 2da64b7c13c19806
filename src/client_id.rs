//! Identifies clients: connections of the server, or those of a simulation.

/// Identifies a client, such as a connection. Never reused: a later client in the same slot has another
/// generation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ClientId {
    /// Its slot, which is reused after its end. Small numbers without large gaps.
    pub slot: u32,
    /// How many clients had that slot before.
    pub generation: u32,
}

impl From<ClientId> for u64 {
    fn from(client: ClientId) -> Self {
        Self::from(client.generation) << 32 | Self::from(client.slot)
    }
}

impl From<u64> for ClientId {
    fn from(number: u64) -> Self {
        Self { slot: number as u32, generation: (number >> 32) as u32 }
    }
}
