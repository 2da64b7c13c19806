//! Large events that several readers are given by a store share one text.

use std::collections::BTreeMap;

use crate::{
    engine::{feed::Feed, scheduler::RunKey},
    json::{Json, WeakJson},
};

/// Texts that some reader has, by run and number.
#[derive(Debug, Default)]
pub(super) struct Sharing {
    texts: BTreeMap<(RunKey, u64), WeakJson>,
}

impl Sharing {
    /// Has a page share what others have of the same run.
    pub(super) fn share(&mut self, run: RunKey, page: &mut Feed) {
        for sequence in page.large().collect::<Vec<_>>() {
            if let Some(known) = self.texts.get(&(run, sequence)).and_then(WeakJson::upgrade) {
                page.share(sequence, &known);
            } else if let Some(weak) = page.shared(sequence).map(Json::downgrade) {
                if self.texts.len() >= TEXTS_MAX {
                    self.texts.retain(|_, weak| weak.upgrade().is_some());
                }
                self.texts.insert((run, sequence), weak);
            }
        }
    }
}

/// Texts after which those that nobody has any more are looked for.
const TEXTS_MAX: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        engine::{input::Published, scheduler::HandlerKey},
        graph::EventId,
        limits::SHARED_BYTES_MIN,
        pass::EventRef,
    };

    #[test]
    fn pages_of_one_run_share_their_large_events_as_long_as_somebody_has_them() {
        let mut feed = Feed::new(3);
        let text = format!("\"{}\"", "x".repeat(SHARED_BYTES_MIN));
        for text in ["1", &text] {
            feed.push(&Published::Event(EventRef::Known(EventId(0)), Json::parse(text).expect("JSON")));
        }
        // What a store gives has its own texts.
        let page = || {
            let own = Json::parse(&text).expect("JSON");
            let mut page = Feed::new(3);
            page.push(&Published::Event(EventRef::Known(EventId(0)), Json::parse("1").expect("JSON")));
            page.push(&Published::Event(EventRef::Known(EventId(0)), own));
            page
        };
        let (mut sharing, run) = (Sharing::default(), RunKey { handler: HandlerKey(1), run: 0 });
        let (mut first, mut second) = (page(), page());
        sharing.share(run, &mut first);
        sharing.share(run, &mut second);
        assert_eq!((&first, first.shared(3), first.shared(4).map(Json::holders)), (&feed, None, Some(2)));
        drop((first, second));
        let mut third = page();
        sharing.share(run, &mut third);
        assert_eq!(third.shared(4).map(Json::holders), Some(1));
    }
}
