//! A Kafka record, detached from the client that read it.

/// One record of the event topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    /// Its key, if it has one.
    pub key: Option<Vec<u8>>,
    /// Its value; a tombstone has none.
    pub payload: Option<Vec<u8>>,
}

/// What a record costs in memory besides key and payload: the struct, its ticket, its places in maps.
const OVERHEAD_BYTES: usize = 256;

impl Record {
    /// Bytes that holding this record costs, for the sink's bound on memory.
    pub fn held_bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        OVERHEAD_BYTES + length(&self.key) + length(&self.payload)
    }
}
