//! Shares one text among several readers of a large event from a store.

use std::collections::BTreeMap;

use crate::{
    engine::{feed::Feed, keys::RunKey},
    json::Json,
    limits::SHARED_TEXTS_MAX,
};

/// Texts that readers hold, by run and number.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    texts: BTreeMap<(RunKey, u64), Json>,
}

impl Sharing {
    /// Makes a page share the texts that others hold of the same run.
    pub(super) fn share(&mut self, run: RunKey, page: &mut Feed) {
        for sequence in page.large().collect::<Vec<_>>() {
            if let Some(known) = self.texts.get(&(run, sequence)) {
                page.share(sequence, known);
            } else if let Some(text) = page.shared(sequence).filter(|_| self.texts.len() < SHARED_TEXTS_MAX) {
                self.texts.insert((run, sequence), text.clone());
            }
        }
    }

    /// Drops texts that no reader holds any longer. To be called once a turn, when everything is written.
    pub(super) fn forget_unused(&mut self) {
        self.texts.retain(|_, text| text.holders() > 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::keys::HandlerKey;
    use crate::engine::published::Published;
    use crate::{graph::EventId, limits::SHARED_BYTES_MIN, pass::EventRef};

    #[test]
    fn pages_of_one_run_share_their_large_events_as_long_as_somebody_has_them() {
        let text = format!("\"{}\"", "x".repeat(SHARED_BYTES_MIN));
        // As it comes from a store: each page has its own copy of the text.
        let page = || {
            let mut page = Feed::new(3);
            for text in ["1", &text] {
                page.push(&Published::Event(EventRef::Known(EventId(0)), Json::parse(text).expect("JSON")));
            }
            page
        };
        let (mut sharing, run) = (Sharing::default(), RunKey { handler: HandlerKey(1), run: 0 });
        let (mut first, mut second) = (page(), page());
        sharing.share(run, &mut first);
        sharing.share(run, &mut second);
        assert_eq!((first.shared(3), first.shared(4).map(Json::holders)), (None, Some(3)));
        sharing.forget_unused();
        assert_eq!((sharing.texts.len(), &first), (1, &second));
        drop((first, second));
        sharing.forget_unused();
        assert!(sharing.texts.is_empty(), "nobody has it any more");
    }
}
