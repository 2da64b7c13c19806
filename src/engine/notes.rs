//! The recorded form of a pass's notes, for `serde(with)`.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    engine::feed::Feed,
    graph::EventId,
    pass::{Note, OnceValue},
};

pub(super) fn serialize<S: Serializer>(notes: &[Note], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(notes.iter().map(NoteRecord::of))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Note>, D::Error> {
    let records = Vec::<NoteRecord>::deserialize(deserializer)?;
    Ok(records.into_iter().map(Note::from).collect())
}

/// The recorded form of a note.
#[derive(Serialize, Deserialize)]
enum NoteRecord {
    Recorded { ordinal: u32, hash: u128, event: Option<EventId>, bytes: u32 },
    Once { ordinal: u32, value: OnceValue },
}

impl NoteRecord {
    fn of(note: &Note) -> Self {
        match note {
            Note::Stream { ordinal, hash, event, value } => {
                let bytes = Feed::event_cost_bytes(event, value) as u32;
                Self::Recorded { ordinal: *ordinal, hash: *hash, event: event.known(), bytes }
            }
            Note::Once { ordinal, value } => Self::Once { ordinal: *ordinal, value: value.clone() },
            &Note::Recorded { ordinal, hash, event, bytes } => Self::Recorded { ordinal, hash, event, bytes },
        }
    }
}

impl From<NoteRecord> for Note {
    fn from(record: NoteRecord) -> Self {
        match record {
            NoteRecord::Recorded { ordinal, hash, event, bytes } => Self::Recorded { ordinal, hash, event, bytes },
            NoteRecord::Once { ordinal, value } => Self::Once { ordinal, value },
        }
    }
}
